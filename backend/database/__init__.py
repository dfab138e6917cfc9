"""Tables, migrations and the engine on SQLite or PostgreSQL. Imports no other room."""
