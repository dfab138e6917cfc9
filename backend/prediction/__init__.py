"""The way of a task: read, ground, write, deliver. Knows neither Flask nor the quality figures."""
