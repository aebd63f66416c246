"""The conference service as a pure core: numbers, codes, waiting rooms, roles, facts.

The door is `bridge.conference.core.Conference`.
"""
