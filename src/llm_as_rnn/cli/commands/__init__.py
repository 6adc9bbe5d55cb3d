"""What each command is called with, and its help; what it does is in the module of the same name in `cli`.

To show help, nothing but these modules is imported: they name methods, rules and models, and know none of them. The
rest of the program is imported when a command is carried out (`later.body`).
"""
