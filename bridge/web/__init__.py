"""The web side: REST, events, webhooks, metrics and the page. A shell: it decides nothing."""
