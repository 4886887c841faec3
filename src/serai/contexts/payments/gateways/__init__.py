"""The adapters of payments: the vendors behind `ports.PaymentProvider`.

The sandbox is a provider of our own, scripted per card number. `sandbox` holds its book and the
adapter that calls it in process, `sandbox_server` puts the same book behind HTTP, and
`sandbox_client` is the adapter that talks to that server. Both adapters pass one suite of tests.
"""
