"""Building blocks of pages that people look at: HTML, SVG and one style sheet; know no bridge.

Every text that goes through them is escaped: `Markup.format` does it, and nothing is put together
any other way. Drawings take their colours from `drawing.css`, so they are light and dark alike.
"""
