"""Notices: what receivers are told of requests. Conveyances leave them in an outbox, and ``conveyor notify`` sends them."""
