"""The one client of Label Studio: API, webhooks, project set-up."""
