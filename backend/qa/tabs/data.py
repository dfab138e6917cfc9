"""Where the figures come from and go to: projects, pre-labelling, webhooks, exports."""

from backend.qa.tab import Tab

TAB = Tab("data", "Data", "/qa/data", 5, always=True)
