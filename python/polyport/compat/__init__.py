"""The server classes of other frameworks: their programs run here with one changed import.

:mod:`polyport.compat.pymysqlrpc` is for programs of pymysqlrpc, :mod:`polyport.compat.pymprpc` for
those of pymprpc. Such a program is started as before, ``python runmain.py``. Where it would begin
to serve, it starts the program ``polyport`` instead and waits for it; and the server's workers run
the same file again, as ``__main__`` and with the same arguments, as far as that place, to have its
functions. So what stands before it runs in each of these processes, and what stands behind it in
the first one only.
"""
