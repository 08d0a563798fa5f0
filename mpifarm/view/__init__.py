"""What people see while it runs and when it ends.

Its rule: it is told, and reaches into nobody. `status` is the words of rank 0 on standard error, `failures` those
about attempts that have failed, `placement` those about who works where, and what lies idle.
"""
