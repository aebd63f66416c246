"""SIP as a pure core: transactions, dialogs, offer and answer; door: `bridge.sip.core.SipCore`."""
