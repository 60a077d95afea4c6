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

from keys.pkcs11.codes import CryptokiError, check

#: Where a function stands in CK_FUNCTION_LIST.
_INITIALIZE, _FINALIZE, _GET_SESSION_INFO, _LOGIN, _DESTROY_OBJECT = 0, 1, 15, 18, 22
_ENCRYPT_INIT, _ENCRYPT, _SIGN_INIT, _SIGN, _DERIVE_KEY = 29, 30, 42, 43, 62
_FUNCTIONS = 63  #: up to C_DeriveKey; what stands behind it is not called

_CKR_USER_ALREADY_LOGGED_IN = 0x100
_CKU_USER = 1
_CKF_OS_LOCKING_OK = 2


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
    """
    A PKCS#11 library, initialized for threads.

    `guard` is held while sessions are opened and closed, `sessions` counts the open ones: while
    there are some, the library must not be restarted.
    """

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.calls = Calls(module)
        self.guard = Lock()
        self.sessions = 0

    def initialize(self) -> None:
        """Initialize with the operating system's locks. Raises `CryptokiError`."""
        Calls(self.so).initialize()

    def restart(self) -> None:
        """
        Finalize and initialize again, where nobody has a session.

        A library may list its tokens once and remember for ever which were missing, as SoftHSM's
        does.
        """
        if not self.sessions:
            with suppress(CryptokiError):
                self.calls.finalize()
            with suppress(CryptokiError):
                self.calls.initialize()


class Calls:
    """The functions of one library. Each raises `CryptokiError` where it does not succeed."""

    def __init__(self, module: str) -> None:
        listed = ctypes.POINTER(_FunctionList)()
        check(ctypes.CDLL(module).C_GetFunctionList(ctypes.byref(listed)))
        self._list = listed.contents
        buffer, out = ctypes.c_char_p, ctypes.c_void_p
        self._initialize = self._function(_INITIALIZE, out)
        self._finalize = self._function(_FINALIZE, out)
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
        check(self._initialize(ctypes.byref(_InitializeArgs(flags=_CKF_OS_LOCKING_OK))))

    def finalize(self) -> None:
        """Let the library go of everything: sessions, logins, tokens."""
        check(self._finalize(None))

    def login(self, session: int, pin: str) -> None:
        """Log the user in; it is the token that is logged in, with all sessions of the process."""
        encoded = pin.encode()
        code = self._login(session, _CKU_USER, encoded, len(encoded))
        if code != _CKR_USER_ALREADY_LOGGED_IN:
            check(code)

    def probe(self, session: int) -> None:
        """Return where the session is still one."""
        check(self._get_session_info(session, ctypes.byref(_SessionInfo())))

    def encrypt_ecb(self, session: int, key: int, blocks: bytes) -> bytes:
        """TDES in ECB (CKM_DES3_ECB) over whole blocks; as many bytes."""
        return self._encrypted(session, _DES3_ECB, key, blocks)

    def encrypt_cbc(self, session: int, key: int, blocks: bytes) -> bytes:
        """TDES in CBC from zeros (CKM_DES3_CBC) over whole blocks; as many bytes."""
        return self._encrypted(session, _DES3_CBC, key, blocks)

    def _encrypted(self, session: int, mechanism: _Mechanism, key: int, blocks: bytes) -> bytes:
        check(self._encrypt_init(session, ctypes.byref(mechanism), key))
        return _output(self._encrypt, session, blocks, len(blocks))

    def sign(self, session: int, mechanism: int, key: int, data: bytes, size: int) -> bytes:
        """A MAC over data of any length (CKM_AES_CMAC, CKM_DES3_CMAC); up to `size` bytes."""
        check(self._sign_init(session, ctypes.byref(_Mechanism(mechanism)), key))
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
        check(
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
        check(self._destroy_object(session, key))


_loaded: dict[str, Library] = {}
_loading = Lock()


def load(module: str) -> Library:
    """
    Load a PKCS#11 library, once in a process.

    Raises `OSError` and `PKCS11Error` where it is none, `CryptokiError` where it does not start.
    """
    with _loading:
        if module not in _loaded:
            _loaded[module] = Library(module)
        return _loaded[module]


def is_loaded(module: str) -> bool:
    """Whether a PKCS#11 library was loaded before."""
    return module in _loaded


def _output(function: Any, session: int, data: bytes, size: int) -> bytes:
    """Call a function that writes up to `size` bytes; give what it wrote."""
    written = ctypes.create_string_buffer(size)
    length = _ulong(size)
    check(function(session, data, len(data), written, ctypes.byref(length)))
    return written.raw[: length.value]
