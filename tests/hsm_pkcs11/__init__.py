"""
The PKCS#11 backend against SoftHSM2, which is not installed from here.

Debian has it: `apt-get install softhsm2`. Where it is absent the tests are skipped, and say so;
where the variable CI is set, its absence is a failure. SOFTHSM2_MODULE names a library that stands
in none of the usual places.
"""
