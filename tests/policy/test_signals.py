"""Stream management of Shared Signals as a resource."""

from authz.policy.signals import SSF_ID, ssf_resource


def test_stream_management_is_the_audience_of_tokens_at_the_issuer():
    """No role holds its scopes, and a request that names none is for both."""
    resource = ssf_resource("https://authz.example/t/corp")
    assert resource.identifier == resource.canonical == "https://authz.example/t/corp/ssf"
    assert (resource.id, resource.is_builtin, resource.is_administration) == (SSF_ID, True, False)
    assert {name: (it.name, it.is_default) for name, it in resource.scopes.items()} == {
        "ssf.read": ("ssf.read", True),
        "ssf.manage": ("ssf.manage", True),
    }
