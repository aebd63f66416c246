"""The leg story: all that is known of one leg, on one axis of conference time.

`diary` keeps what the bridge sees of a leg, `shelf` keeps the diaries of legs that are over,
`build` joins a diary with billing's explanation into one plain structure, and `text` and `page`
show that: the same in a report, on the page and from `tollbridge explain`. Nothing here asks a
clock or a socket; `shelf` alone touches a disk.
"""
