"""Control: what a user decides, checked and stored: workspace, sources, destinations, jobs, secrets.

Rule: the workspace file, the command line and the API all come through these functions; a stage only reads
the rows that they leave.
"""
