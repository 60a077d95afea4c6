"""
The PKCS#11 calls of every question, made by hand beside python-pkcs11.

python-pkcs11 finds tokens, sessions and keys. It is not used for the questions themselves:

- It initializes a library without locks (`C_Initialize(NULL)`), which forbids threads; SoftHSM
  then corrupts itself. `Library` asks for the operating system's locks.
- It has no `C_Login` of its own, and its sessions log out the whole process when they close.
- A key that it derives is described by two dozen calls before it can be used, which takes more
  than twice as long as deriving it.

Function numbers, structures and codes: PKCS#11 2.40, section 3 and header files.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, _pkcs11

#: Where a function stands in CK_FUNCTION_LIST.
_INITIALIZE, _GET_SESSION_INFO, _LOGIN, _DESTROY_OBJECT = 0, 15, 18, 22
_ENCRYPT_INIT, _ENCRYPT, _SIGN_INIT, _SIGN, _DERIVE_KEY = 29, 30, 42, 43, 62
_FUNCTIONS = 63  #: up to C_DeriveKey; what stands behind it is not called

_CKR_OK = 0x000
_CKR_USER_ALREADY_LOGGED_IN = 0x100
_CKU_USER = 1
_CKF_OS_LOCKING_OK = 2

#: Codes that say the question is wrong, not the token: asking again would change nothing.
_REJECTIONS = {
    0x007: "CKR_ARGUMENTS_BAD",
    0x010: "CKR_ATTRIBUTE_READ_ONLY",
    0x012: "CKR_ATTRIBUTE_TYPE_INVALID",
    0x013: "CKR_ATTRIBUTE_VALUE_INVALID",
    0x01B: "CKR_ACTION_PROHIBITED",
    0x020: "CKR_DATA_INVALID",
    0x021: "CKR_DATA_LEN_RANGE",
    0x054: "CKR_FUNCTION_NOT_SUPPORTED",
    0x062: "CKR_KEY_SIZE_RANGE",
    0x063: "CKR_KEY_TYPE_INCONSISTENT",
    0x068: "CKR_KEY_FUNCTION_NOT_PERMITTED",
    0x070: "CKR_MECHANISM_INVALID",
    0x071: "CKR_MECHANISM_PARAM_INVALID",
    0x0D0: "CKR_TEMPLATE_INCOMPLETE",
    0x0D1: "CKR_TEMPLATE_INCONSISTENT",
}

#: Codes of a login that must not be tried again: a token locks itself after some wrong PINs.
_PIN_REFUSALS = {
    0x0A0: "CKR_PIN_INCORRECT",
    0x0A1: "CKR_PIN_INVALID",
    0x0A2: "CKR_PIN_LEN_RANGE",
    0x0A3: "CKR_PIN_EXPIRED",
    0x0A4: "CKR_PIN_LOCKED",
    0x102: "CKR_USER_PIN_NOT_INITIALIZED",
}

#: Names of the codes that an outage is most often told by. Every other code is one too.
_OUTAGES = {
    0x005: "CKR_GENERAL_ERROR",
    0x006: "CKR_FUNCTION_FAILED",
    0x030: "CKR_DEVICE_ERROR",
    0x031: "CKR_DEVICE_MEMORY",
    0x032: "CKR_DEVICE_REMOVED",
    0x060: "CKR_KEY_HANDLE_INVALID",
    0x082: "CKR_OBJECT_HANDLE_INVALID",
    0x0B0: "CKR_SESSION_CLOSED",
    0x0B1: "CKR_SESSION_COUNT",
    0x0B3: "CKR_SESSION_HANDLE_INVALID",
    0x0E0: "CKR_TOKEN_NOT_PRESENT",
    0x101: "CKR_USER_NOT_LOGGED_IN",
}
_NAMES = {**_REJECTIONS, **_PIN_REFUSALS, **_OUTAGES}


class CryptokiError(Exception):
    """A PKCS#11 function returned a code other than CKR_OK. Holds the code and nothing else."""

    def __init__(self, code: int) -> None:
        super().__init__(_NAMES.get(code, f"PKCS#11 code {code:#x}"))
        self.is_rejection = code in _REJECTIONS
        self.is_pin_refusal = code in _PIN_REFUSALS


class _InitializeArgs(ctypes.Structure):
    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _Mechanism(ctypes.Structure):
    _fields_ = (
        ("mechanism", ctypes.c_ulong),
        ("parameter", ctypes.c_void_p),
        ("parameter_length", ctypes.c_ulong),
    )


class _StringData(ctypes.Structure):
    """CK_KEY_DERIVATION_STRING_DATA."""

    _fields_ = (("data", ctypes.c_void_p), ("length", ctypes.c_ulong))


class _Attribute(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_ulong),
        ("value", ctypes.c_void_p),
        ("value_length", ctypes.c_ulong),
    )


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * _FUNCTIONS))


class _SessionInfo(ctypes.Structure):
    _fields_ = (
        ("slot", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("device_error", ctypes.c_ulong),
    )


_ulong = ctypes.c_ulong
_DES3_ECB = _Mechanism(Mechanism.DES3_ECB)
_ZERO_IV = ctypes.create_string_buffer(8)
_DES3_CBC = _Mechanism(Mechanism.DES3_CBC, ctypes.addressof(_ZERO_IV), 8)


def _template(*attributes: tuple[int, ctypes._SimpleCData[Any]]) -> ctypes.Array[_Attribute]:
    """A template over values that live as long as the module does."""
    _kept.extend(value for _, value in attributes)
    return (_Attribute * len(attributes))(
        *(_Attribute(kind, ctypes.addressof(v), ctypes.sizeof(v)) for kind, v in attributes)
    )


_kept: list[object] = []
_YES, _NO = ctypes.c_ubyte(1), ctypes.c_ubyte(0)

#: Card and session keys: of this session alone, never to be read, gone when it ends.
_DERIVED = _template(
    (Attribute.CLASS, _ulong(ObjectClass.SECRET_KEY)),
    (Attribute.KEY_TYPE, _ulong(KeyType.DES2)),
    (Attribute.TOKEN, _NO),
    (Attribute.PRIVATE, _YES),
    (Attribute.SENSITIVE, _YES),
    (Attribute.EXTRACTABLE, _NO),
    (Attribute.ENCRYPT, _YES),
    (Attribute.DERIVE, _YES),
)


class Library(_pkcs11.lib):
    """A PKCS#11 library, initialized for threads."""

    def initialize(self) -> None:
        """Initialize with the operating system's locks. Raises `CryptokiError`."""
        Calls(self.so).initialize()


class Calls:
    """The functions of one library. Each raises `CryptokiError` where it does not succeed."""

    def __init__(self, module: str) -> None:
        listed = ctypes.POINTER(_FunctionList)()
        _check(ctypes.CDLL(module).C_GetFunctionList(ctypes.byref(listed)))
        self._list = listed.contents
        buffer, out = ctypes.c_char_p, ctypes.c_void_p
        self._initialize = self._function(_INITIALIZE, out)
        self._get_session_info = self._function(_GET_SESSION_INFO, _ulong, out)
        self._login = self._function(_LOGIN, _ulong, _ulong, buffer, _ulong)
        self._destroy_object = self._function(_DESTROY_OBJECT, _ulong, _ulong)
        self._encrypt_init = self._function(_ENCRYPT_INIT, _ulong, out, _ulong)
        self._encrypt = self._function(_ENCRYPT, _ulong, buffer, _ulong, out, out)
        self._sign_init = self._function(_SIGN_INIT, _ulong, out, _ulong)
        self._sign = self._function(_SIGN, _ulong, buffer, _ulong, out, out)
        self._derive_key = self._function(_DERIVE_KEY, _ulong, out, _ulong, out, _ulong, out)

    def _function(self, index: int, *arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(_ulong, *arguments)(self._list.functions[index])

    def initialize(self) -> None:
        """Initialize the library so that threads may use it."""
        _check(self._initialize(ctypes.byref(_InitializeArgs(flags=_CKF_OS_LOCKING_OK))))

    def login(self, session: int, pin: str) -> None:
        """Log the user in; it is the token that is logged in, with all sessions of the process."""
        encoded = pin.encode()
        code = self._login(session, _CKU_USER, encoded, len(encoded))
        if code != _CKR_USER_ALREADY_LOGGED_IN:
            _check(code)

    def probe(self, session: int) -> None:
        """Return where the session is still one."""
        _check(self._get_session_info(session, ctypes.byref(_SessionInfo())))

    def encrypt_ecb(self, session: int, key: int, blocks: bytes) -> bytes:
        """TDES in ECB (CKM_DES3_ECB) over whole blocks; as many bytes."""
        return self._encrypted(session, _DES3_ECB, key, blocks)

    def encrypt_cbc(self, session: int, key: int, blocks: bytes) -> bytes:
        """TDES in CBC from zeros (CKM_DES3_CBC) over whole blocks; as many bytes."""
        return self._encrypted(session, _DES3_CBC, key, blocks)

    def _encrypted(self, session: int, mechanism: _Mechanism, key: int, blocks: bytes) -> bytes:
        _check(self._encrypt_init(session, ctypes.byref(mechanism), key))
        return _output(self._encrypt, session, blocks, len(blocks))

    def sign(self, session: int, mechanism: int, key: int, data: bytes, size: int) -> bytes:
        """A MAC over data of any length (CKM_AES_CMAC, CKM_DES3_CMAC); up to `size` bytes."""
        _check(self._sign_init(session, ctypes.byref(_Mechanism(mechanism)), key))
        return _output(self._sign, session, data, size)

    @contextmanager
    def derived(self, session: int, key: int, data: bytes) -> Iterator[int]:
        """A key of 16 bytes that is `data` encrypted under another, for as long as the context.

        CKM_DES3_ECB_ENCRYPT_DATA: the token keeps what it encrypts, and nobody can read it. The
        key is destroyed at the end; of a session that broke, the token destroys it.
        """
        held = ctypes.create_string_buffer(data, len(data))
        parameter = _StringData(ctypes.addressof(held), len(data))
        mechanism = _Mechanism(
            Mechanism.DES3_ECB_ENCRYPT_DATA,
            ctypes.addressof(parameter),
            ctypes.sizeof(parameter),
        )
        handle = _ulong()
        _check(
            self._derive_key(
                session,
                ctypes.byref(mechanism),
                key,
                _DERIVED,
                len(_DERIVED),
                ctypes.byref(handle),
            )
        )
        try:
            yield handle.value
        except BaseException:
            with suppress(CryptokiError):
                self._destroy(session, handle.value)
            raise
        self._destroy(session, handle.value)

    def _destroy(self, session: int, key: int) -> None:
        _check(self._destroy_object(session, key))


_loaded: dict[str, tuple[Library, Calls]] = {}
_loading = Lock()


def load(module: str) -> tuple[Library, Calls]:
    """
    Load a PKCS#11 library, once in a process; it stays initialized until the process ends.

    Raises `OSError` and `PKCS11Error` where it is none, `CryptokiError` where it does not start.
    """
    with _loading:
        if module not in _loaded:
            _loaded[module] = Library(module), Calls(module)
        return _loaded[module]


def is_loaded(module: str) -> bool:
    """Whether a PKCS#11 library was loaded before."""
    return module in _loaded


def _output(function: Any, session: int, data: bytes, size: int) -> bytes:
    """Call a function that writes up to `size` bytes; give what it wrote."""
    written = ctypes.create_string_buffer(size)
    length = _ulong(size)
    _check(function(session, data, len(data), written, ctypes.byref(length)))
    return written.raw[: length.value]


def _check(code: int) -> None:
    if code != _CKR_OK:
        raise CryptokiError(code)
