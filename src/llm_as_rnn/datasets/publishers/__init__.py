"""Streams of others: what reads the files of their publishers. None of the data is part of this package.

A module a publisher. Each gives a `Dataset` whose `Maker` turns the files into rows (see `making`), and the task of the
same name reads the table that comes of it. What they have in common stands in `common`.
"""
