"""What is kept on this device: people, scans and entered readings in one encrypted database.

`vault` holds the database's key in the system's key store, `recovery` on paper, `database` opens and migrates the file,
`observations` is what is in it.
"""
