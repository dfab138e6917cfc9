"""For WSGI servers: ``gunicorn --threads 8 backend.wsgi:app``."""

from backend.app import create_app
from backend.settings import load_settings

app = create_app(load_settings())
