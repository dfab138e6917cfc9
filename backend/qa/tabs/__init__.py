"""The tabs of the quality page, one file each: it defines ``TAB`` (`backend.qa.tab.Tab`).

A tab has a path, a template ``templates/qa/tabs/NAME.html`` that extends ``qa/tabs/_layout.html``,
and a function that gives what the template needs. Only `backend.qa.tab.tabs` knows the modules.
"""
