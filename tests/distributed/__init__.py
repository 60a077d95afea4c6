"""The ledger on a cluster whose nodes share it by account: only where one is named."""
