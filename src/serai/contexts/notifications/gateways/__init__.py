"""Who carries mail: the console, or a mail server; and the words that come with Serai."""
