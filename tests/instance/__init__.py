"""An instance as its user meets it: real processes, real sockets, the sandboxes as the vendors."""
