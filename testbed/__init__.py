"""Real servers on loopback, and a proxy that counts requests and injects faults.

The tests, the demo and the benchmarks use this package. Only the soak imports this project's
``cshelve``.

- ``testbed.seaweedfs``: ``SeaweedFS``, an S3 server that checks signatures and permissions.
- ``testbed.moto``: ``Moto``, an S3 server with exact listing order and any key.
- ``testbed.fault_proxy``: ``FaultProxy``, which runs between a client and either server.
- ``testbed.faults``: the faults that the proxy can inject.
- ``testbed.scripted_server``: ``ScriptedServer``, which responds with the bytes that a test gives.
- ``testbed.soak``: a program that loads a shelf for a long time while server and network fail.
- ``testbed.cshelve_1x``: ``Cshelve1x``, the previous release, in its own process.
- ``testbed.loopback``: ``refuse_other_hosts``, which keeps tests from reaching a real cloud.
"""
