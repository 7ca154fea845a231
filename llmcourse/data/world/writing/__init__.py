"""The writers: each turns what is known of the country into drafts of one kind of page."""
