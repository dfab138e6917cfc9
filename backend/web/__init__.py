"""Flask: the app, its routes and pages, who may speak to it, and the servers that run it."""
