"""How a database comes to have the tables of `schema`, a step a file (`migrating` carries them out).

Each file is an Alembic revision and stays as it is once it was released: it says what tables were like then, and
imports nothing that may change. There are no downgrades: a backup goes back, and loses nothing silently.

To change a table, change `schema`, and add a file ``rNNNN_what.py`` with the next ``revision``, the last one as its
``down_revision``, and an ``upgrade`` that brings old tables, with what is in them, to the new form. A test compares
what all files together make with `schema`, on both databases.
"""
