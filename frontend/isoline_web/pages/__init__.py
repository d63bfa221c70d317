"""One file a page: its layout and the callbacks that belong to it."""
