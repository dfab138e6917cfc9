"""All routes as an OpenAPI document: what the parts are of, what is sent, and where to."""
