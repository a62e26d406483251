"""The server's half of SRP-6a (RFC 5054, 2048 bits, SHA-256), as Apple's sign-in has it: no user name in the secret, and for
a password what PBKDF2 makes of its SHA-256."""

import hashlib
import secrets

# RFC 5054, appendix A, the group of 2048 bits.
N = int(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13DD52312AB4B03310DCD7F48A9"
    "DA04FD50E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B855F97993EC975EEAA80D740ADBF4FF747359D041D5C33EA7"
    "1D281E446B14773BCA97B43A23FB801676BD207A436C6481F1D2B9078717461A5B9D32E688F87748544523B524B0D57D5EA77A2775D2ECFA032CFBDB"
    "F52FB3786160279004E57AE6AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB694B5C803D89F7AE435DE236D525F5475"
    "9B65E372FCD68EF20FA7111F9E4AFF73",
    16,
)
G = 2
WIDTH = 256
ITERATIONS = 1000


def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def number(data):
    return int.from_bytes(data, "big")


def plain(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def padded(value):
    return value.to_bytes(WIDTH, "big")


class Exchange:
    """One sign-in, from the client's public value to the proof that it knows the password."""

    def __init__(self, name, password, client):
        self.name, self.a = name, number(client)
        self.salt = secrets.token_bytes(16)
        secret = hashlib.pbkdf2_hmac("sha256", hashlib.sha256(password.encode()).digest(), self.salt, ITERATIONS, 32)
        x = number(digest(self.salt, digest(b":", secret)))
        verifier, private = pow(G, x, N), number(secrets.token_bytes(32))
        k = number(digest(padded(N), padded(G)))
        self.b = (k * verifier + pow(G, private, N)) % N
        u = number(digest(padded(self.a), padded(self.b)))
        self.key = digest(plain(pow(self.a * pow(verifier, u, N), private, N)))

    def proves(self, proof):
        """Whether `proof` could only come from who knows the password."""
        if self.a % N == 0:
            return False
        group = bytes(x ^ y for x, y in zip(digest(plain(N)), digest(padded(G))))
        own = digest(group, digest(self.name.encode()), self.salt, plain(self.a), plain(self.b), self.key)
        return secrets.compare_digest(own, proof)
