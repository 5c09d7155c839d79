"""Signature wrapping: a good signature in the document, and somebody else's name where a reader may look (ATK-30).

Every document of the corpus is alive: its signature still verifies by itself, so a reader that verifies one element
and reads another one would let Eve in. XSW 1 to 8 are those of Somorovsky et al., USENIX Security 2012.
"""

import base64
import copy
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.support.saml_idp import A, D, P, Said, canonical, etree, posted
from tests.support.saml_sp import Connection


@pytest.fixture(scope="module")
def connection():
    return Connection()


@pytest.fixture(scope="module")
def around(connection):
    return connection.with_settings(signed="response")


def signed(connection, *parts):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, parts)
    return root


def evil(element, *, keeps_signature=False, new_id="_evil"):
    """A copy in which the person is Eve, under another id."""
    copied = copy.deepcopy(element)
    copied.tail = None
    copied.set("ID", new_id)
    copied.find(f".//{A}NameID").text = "eve"
    if not keeps_signature:
        strip(copied)
    return copied


def strip(element):
    for signature in list(element.iter(f"{D}Signature")):
        signature.getparent().remove(signature)
    return element


def is_alive(connection, root):
    """Whether a signature in the document verifies, found and checked as a careless reader does it."""
    for signature in root.iter(f"{D}Signature"):
        info = signature.find(f"{D}SignedInfo")
        value = base64.b64decode(signature.findtext(f"{D}SignatureValue"))
        connection.idp.key.public_key().verify(
            value, canonical(info), padding.PKCS1v15(), hashes.SHA256()
        )
        uri = info.find(f"{D}Reference").get("URI")
        wanted = base64.b64decode(info.findtext(f".//{D}DigestValue"))
        for found in root.iter():
            if found.get("ID") == uri[1:]:
                alone = copy.deepcopy(found)
                alone.tail = None
                own = alone.find(f"{D}Signature")
                if own is not None:
                    alone.remove(own)
                if hashlib.sha256(canonical(alone)).digest() == wanted:
                    return True
    return False


# Of the response.


def as_eve(root):
    root.set("ID", "_evil")
    assertion = root.find(f"{A}Assertion")
    assertion.set("ID", "_evil_2")
    assertion.find(f"{A}Subject/{A}NameID").text = "eve"
    return root


def xsw1(root):
    """The evil response carries the signature, and the signed response is inside of that."""
    original = strip(copy.deepcopy(root))
    signature = root.find(f"{D}Signature")
    signature.append(original)
    return as_eve(root)


def xsw2(root):
    """The signed response stands before a detached signature of it, inside the evil one."""
    original = strip(copy.deepcopy(root))
    signature = root.find(f"{D}Signature")
    signature.addprevious(original)
    return as_eve(root)


# Of the assertion.


def xsw3(root):
    """The evil assertion first, the signed one after it."""
    assertion = root.find(f"{A}Assertion")
    assertion.addprevious(evil(assertion))
    return root


def xsw4(root):
    """The signed assertion inside the evil one."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion)
    root.replace(assertion, wrapper)
    wrapper.append(assertion)
    return root


def xsw5(root):
    """The evil assertion keeps the signature, the signed one is at the end without it."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion, keeps_signature=True)
    root.replace(assertion, wrapper)
    root.append(strip(assertion))
    return root


def xsw6(root):
    """The same, with the signed one inside the signature."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion, keeps_signature=True)
    root.replace(assertion, wrapper)
    wrapper.find(f"{D}Signature").append(strip(assertion))
    return root


def xsw7(root):
    """The evil assertion in Extensions, before the signed one."""
    assertion = root.find(f"{A}Assertion")
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(evil(assertion, new_id=assertion.get("ID")))
    root.find(f"{P}Status").addprevious(extensions)
    return root


def xsw8(root):
    """The signed assertion in an Object of the evil one's signature."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion, keeps_signature=True)
    root.replace(assertion, wrapper)
    etree.SubElement(wrapper.find(f"{D}Signature"), f"{D}Object").append(strip(assertion))
    return root


# Further places, and other games.


def in_extensions(root):
    """The signed assertion hidden in Extensions, the evil one where it belongs, with another id."""
    assertion = root.find(f"{A}Assertion")
    root.replace(assertion, evil(assertion))
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(assertion)
    root.find(f"{P}Status").addprevious(extensions)
    return root


def in_status_detail(root):
    assertion = root.find(f"{A}Assertion")
    root.replace(assertion, evil(assertion))
    etree.SubElement(root.find(f"{P}Status"), f"{P}StatusDetail").append(assertion)
    return root


def in_advice(root):
    """Where the schema allows an assertion."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion)
    root.replace(assertion, wrapper)
    advice = etree.Element(f"{A}Advice")
    advice.append(assertion)
    wrapper.find(f"{A}Conditions").addnext(advice)
    return root


def in_a_value(root):
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion)
    root.replace(assertion, wrapper)
    statement = etree.SubElement(wrapper, f"{A}AttributeStatement")
    attribute = etree.SubElement(statement, f"{A}Attribute", Name="x")
    etree.SubElement(attribute, f"{A}AttributeValue").append(assertion)
    return root


def in_key_info(root):
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion, keeps_signature=True)
    root.replace(assertion, wrapper)
    etree.SubElement(wrapper.find(f"{D}Signature"), f"{D}KeyInfo").append(strip(assertion))
    return root


def same_id(root):
    """Two assertions of one id: which one does the reference mean?"""
    assertion = root.find(f"{A}Assertion")
    assertion.addprevious(evil(assertion, new_id=assertion.get("ID")))
    return root


def same_id_elsewhere(root):
    """The id of the signed assertion on something harmless."""
    extensions = etree.Element(f"{P}Extensions")
    etree.SubElement(extensions, "{urn:x}thing", ID=root.find(f"{A}Assertion").get("ID"))
    root.find(f"{P}Status").addprevious(extensions)
    return root


def same_id_by_another_name(root):
    """`Id`, `xml:id` and an ID in a foreign namespace are ids to somebody."""
    extensions = etree.Element(f"{P}Extensions")
    name = "{http://www.w3.org/XML/1998/namespace}id"
    etree.SubElement(extensions, "{urn:x}thing", {name: root.find(f"{A}Assertion").get("ID")})
    root.find(f"{P}Status").addprevious(extensions)
    return root


def same_id_in_a_namespace(root):
    extensions = etree.Element(f"{P}Extensions")
    found = root.find(f"{A}Assertion").get("ID")
    etree.SubElement(extensions, "{urn:x}thing", {"{urn:x}ID": found})
    root.find(f"{P}Status").addprevious(extensions)
    return root


def no_namespace(root):
    """The evil assertion has no namespace: invisible to one reader, found by the next."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion)
    for element in wrapper.iter():
        element.tag = etree.QName(element).localname
    assertion.addprevious(wrapper)
    etree.cleanup_namespaces(wrapper)
    return root


def other_namespace(root):
    """The same in SAML 1.1's."""
    assertion = root.find(f"{A}Assertion")
    wrapper = evil(assertion)
    wrapper.tag = "{urn:oasis:names:tc:SAML:1.0:assertion}Assertion"
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(wrapper)
    root.find(f"{P}Status").addprevious(extensions)
    return root


def signature_moved_up(root):
    """The assertion's signature on the response: detached, and over another element than its parent."""
    signature = root.find(f"{A}Assertion/{D}Signature")
    root.find(f"{A}Issuer").addnext(signature)
    return root


def signature_moved_down(root):
    """Inside the subject: a reader that searches finds it all the same."""
    signature = root.find(f"{A}Assertion/{D}Signature")
    root.find(f".//{A}Subject").append(signature)
    return root


def response_in_extensions(root):
    """A whole second response."""
    extensions = etree.Element(f"{P}Extensions")
    extensions.append(copy.deepcopy(strip(copy.deepcopy(root))))
    for element in extensions.iter():
        if element.get("ID"):
            element.set("ID", f"{element.get('ID')}_2")
    extensions.find(f".//{A}NameID").text = "eve"
    root.find(f"{P}Status").addprevious(extensions)
    return root


def encrypted_beside(root):
    """An encrypted assertion after the signed one: a reader may prefer it."""
    root.append(etree.Element(f"{A}EncryptedAssertion"))
    return root


OF_RESPONSES = [
    (xsw1, "response_ambiguous"),
    (xsw2, "response_ambiguous"),
    (response_in_extensions, "response_ambiguous"),
]
OF_ASSERTIONS = [
    (xsw3, "assertion_ambiguous"),
    (xsw4, "assertion_ambiguous"),
    (xsw5, "assertion_ambiguous"),
    (xsw6, "assertion_ambiguous"),
    (xsw7, "id_duplicate"),
    (xsw8, "assertion_ambiguous"),
    (in_extensions, "assertion_ambiguous"),
    (in_status_detail, "assertion_ambiguous"),
    (in_advice, "assertion_ambiguous"),
    (in_a_value, "assertion_ambiguous"),
    (in_key_info, "assertion_ambiguous"),
    (same_id, "id_duplicate"),
    (same_id_elsewhere, "id_duplicate"),
    (same_id_by_another_name, "id_duplicate"),
    (same_id_in_a_namespace, "id_duplicate"),
    (no_namespace, "assertion_ambiguous"),
    (other_namespace, "assertion_ambiguous"),
    (signature_moved_up, "signature_of_another_element"),
    (signature_moved_down, "signature_misplaced"),
    (response_in_extensions, "response_ambiguous"),
    (encrypted_beside, "assertion_ambiguous"),
]


def named(value):
    return value if isinstance(value, str) else value.__name__


@pytest.mark.parametrize(("wrap", "reason"), OF_ASSERTIONS, ids=named)
def test_a_signed_assertion_is_not_a_licence_for_another(connection, wrap, reason):
    root = wrap(signed(connection, "assertion"))
    assert wrap in (signature_moved_up, signature_moved_down) or is_alive(connection, root)
    assert connection.outcome(posted(root)) == reason


@pytest.mark.parametrize(("wrap", "reason"), OF_RESPONSES, ids=named)
def test_a_signed_response_is_not_a_licence_for_another(around, wrap, reason):
    root = wrap(signed(around, "response"))
    # Where the copy stands outside of the signed element; inside it, the signature is broken.
    assert is_alive(around, root) == (wrap is not response_in_extensions)
    assert around.outcome(posted(root)) == reason


@pytest.mark.parametrize(("wrap", "_"), OF_ASSERTIONS, ids=named)
def test_nor_where_both_are_signed(connection, around, wrap, _):
    for asked in (connection, around):
        assert asked.outcome(posted(wrap(signed(asked, "assertion", "response")))) != "accepted"


def test_the_corpus_can_see_what_is_alive(connection):
    root = signed(connection, "assertion")
    assert is_alive(connection, root)
    root.find(f".//{A}NameID").text = "eve"
    assert not is_alive(connection, root)
