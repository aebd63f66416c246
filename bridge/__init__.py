"""tollbridge's SIP bridge: dial in, wait, meet, be metered. See docs/architecture.md."""
