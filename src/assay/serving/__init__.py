"""What people are answered: questions in SQL, each kept to what its asker may see.

`client` is the way through: `names` and `sight` decide what a user sees of the tables that a question names,
`relations` makes ready what may be seen, `process` and `child` run the question apart, `answer` gives it back. How
SQL is read stands in `engines`, who may do what in `security`.
"""
