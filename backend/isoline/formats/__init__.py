"""Files in: what they hold, what their labels mean, and everything that is wrong with them."""
