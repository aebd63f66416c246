"""Shells over sockets: batched RTP, the RTP port pool, SIP transports."""
