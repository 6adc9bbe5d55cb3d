"""What a table may be used for: a task that is proposed by looking at it, with reasons and with what cannot be known.

`columns` looks at each column alone (`figures` and `dates` at how it is written), `roles` at what they are to each
other, `leaks` at which of them know the outcome; `proposal` makes a task of it, and `written` the text of a task file.
"""
