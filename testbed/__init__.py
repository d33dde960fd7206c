"""Real servers on loopback, and a proxy that counts requests and injects faults.

The tests, the demo and the benchmarks use this package; nothing here but the soak imports our
``cshelve``.

- ``testbed.seaweedfs``: ``SeaweedFS``, an S3 server that checks signatures and permissions.
- ``testbed.moto``: ``Moto``, an S3 server with exact listing order and any key.
- ``testbed.fault_proxy``: ``FaultProxy``, between a client and either of them.
- ``testbed.faults``: what the proxy can do to an exchange.
- ``testbed.scripted_server``: ``ScriptedServer``, which answers with the bytes a test gives it.
- ``testbed.soak``: a program; a shelf under load for long, while all of this fails around it.
- ``testbed.cshelve_1x``: ``Cshelve1x``, the release before ours, in a process of its own.
- ``testbed.loopback``: ``refuse_other_hosts``, so that no test reaches a real cloud.
"""
