"""Personal data in columns that are not classified for it.

`detectors` says what each kind looks like in a text, `checks` whether such a text is one (check digits, issuers,
numbering plans), `columns` looks through the rows of a batch, `findings` says what was found.
"""
