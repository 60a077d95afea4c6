"""
An HSM in software, for development, tests and measurements.

It is NOT PCI-capable: its keys lie in the memory of an ordinary process, where
a debugger, a core dump or a bug can read them. PCI PIN and the card schemes
ask for a certified HSM; production uses one of the other backends.

Modules are named by the trade. Their functions are pure and take keys already
prepared; `questions` checks what they are asked, and `backend.SoftwareHsm` puts
all of it behind the `Hsm` protocol.
"""
