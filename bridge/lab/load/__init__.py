"""The load test: crowds of real calls against any SIP bridge, and who hears whom in them."""
