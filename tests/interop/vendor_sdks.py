#!/usr/bin/env python3
"""Points the vendors' official Python SDKs at the emulator.

Each check makes one call through an SDK and compares what the SDK decoded with what was scripted,
and what the emulator noted in its ledger with what the vendor would have charged.
"""

import argparse
import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

CARD = "6222020000000000000"
NAME = "张三"
ID_NUMBER = "11010519491231002X"
PHONE = "13800138000"
VECTORS = Path(__file__).resolve().parent.parent / "vectors"


class Failure(Exception):
    """A check that did not hold."""


def equal(what, got, wanted):
    if got != wanted:
        raise Failure(f"{what} is {got!r}, not {wanted!r}")


class Emulator:
    """The emulator's control interface."""

    def __init__(self, url, ca=None):
        self.url = url
        self.ca = ca
        self.host = url.split("://")[1]
        self.scheme = url.split("://")[0]
        self.seq = 0

    def control(self, method, path, body=None, raw=False):
        import ssl

        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_control/{path}", data=data, method=method)
        context = ssl.create_default_context(cafile=self.ca) if self.ca else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=10) as answer:
            content = answer.read()
        return content.decode() if raw else json.loads(content)

    def script(self, vendor, **script):
        self.control("POST", "scripts", {"vendor": vendor, "times": 1, **script})

    def last_call(self):
        """The one call since the last time this was asked."""
        calls = self.control("GET", f"ledger?after={self.seq}")
        equal("the number of calls received", len(calls), 1)
        self.seq = calls[-1]["seq"]
        return calls[0]


class Report:
    """Counts checks per group."""

    def __init__(self):
        self.groups = {}
        self.failures = []

    def check(self, group, name, call):
        passed, failed = self.groups.get(group, (0, 0))
        try:
            call()
            self.groups[group] = (passed + 1, failed)
        except Exception as error:  # every surprise of an SDK is a failed check
            self.groups[group] = (passed, failed + 1)
            self.failures.append(f"{group} / {name}: {type(error).__name__}: {error}")

    def show(self):
        width = max(len(group) for group in self.groups)
        print(f"{'checks':<{width}}  passed  failed")
        for group, (passed, failed) in self.groups.items():
            print(f"{group:<{width}}  {passed:>6}  {failed:>6}")
        for failure in self.failures:
            print(f"FAILED {failure}", file=sys.stderr)

    def totals(self):
        return tuple(map(sum, zip(*self.groups.values())))


def tables():
    return json.loads((VECTORS / "result_codes.json").read_text(encoding="utf-8"))


# --- Tencent ------------------------------------------------------------------------------------

TENCENT_ACTIONS = {
    "BankCard2EVerification": ("2E", ["Name", "BankCard"]),
    "BankCardVerification": ("3E", ["IdCard", "Name", "BankCard"]),
    "BankCard4EVerification": ("4E", ["IdCard", "Name", "BankCard", "Phone"]),
    "CheckBankCardInformation": ("INFO", ["BankCard"]),
}
TENCENT_VALUES = {"Name": NAME, "BankCard": CARD, "IdCard": ID_NUMBER, "Phone": PHONE}
TENCENT_KEYS = {
    "long-term": ("AKIDEMULATOR", "emulator-tencent-secret", None),
    "temporary": (
        "AKIDEMULATORTEMPORARY",
        "emulator-tencent-temporary-secret",
        "emulator-tencent-session-token",
    ),
}


class Tencent:
    """One of Tencent's two packages."""

    def __init__(self, emulator):
        self.emulator = emulator

    def call(self, action, keys, values, language=None, encryption=None):
        from tencentcloud.common import credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile
        from tencentcloud.faceid.v20180301 import faceid_client, models

        http = HttpProfile(endpoint=self.emulator.host, protocol=self.emulator.scheme)
        if self.emulator.ca:
            http.certification = self.emulator.ca
        profile = ClientProfile(httpProfile=http)
        if language:
            profile.language = language
        client = faceid_client.FaceidClient(credential.Credential(*keys), "", profile)
        request = getattr(models, f"{action}Request")()
        for name, value in values.items():
            setattr(request, name, value)
        if encryption:
            request.Encryption = models.Encryption()
            for name, value in encryption.items():
                setattr(request.Encryption, name, value)
        return getattr(client, action)(request)

    def values(self, action):
        return {name: TENCENT_VALUES[name] for name in TENCENT_ACTIONS[action][1]}

    def accepted(self, action, credentials):
        values = self.values(action)
        if action == "BankCard4EVerification":
            values["CertType"] = 0
        answer = self.call(action, TENCENT_KEYS[credentials], values)
        equal("Result", answer.Result, "0")
        if action == "CheckBankCardInformation":
            equal("AccountBank", answer.AccountBank, "中国工商银行")
            equal("AccountType", answer.AccountType, 1)
        call = self.emulator.last_call()
        equal("action", call["action"], action)
        equal("accepted", call["accepted"], True)
        equal("charge", call["charge"], "yes")
        equal("temporary", call["temporary_credentials"], credentials == "temporary")
        if not answer.RequestId:
            raise Failure("no RequestId was decoded")

    def scripted(self, action, code, row, language):
        text = row["zh" if language == "zh-CN" else "en"]
        self.emulator.script("tencent", reply={"kind": "code", "code": code})
        answer = self.call(action, TENCENT_KEYS["long-term"], self.values(action), language)
        equal("Result", answer.Result, code)
        equal("Description", answer.Description, text)
        call = self.emulator.last_call()
        equal("charge", call["charge"], "yes" if row["charged"] else "no")

    def encrypted(self, action, algorithm):
        fields = TENCENT_ACTIONS[action][1]
        values, encryption = encrypt(self.emulator, algorithm, self.values(action), fields)
        keys = TENCENT_KEYS["long-term"]
        answer = self.call(action, keys, values, encryption=encryption)
        equal("Result", answer.Result, "0")
        equal("encrypted", self.emulator.last_call()["encrypted"], algorithm)

    def spoilt(self, algorithm):
        action = "BankCard4EVerification"
        fields = TENCENT_ACTIONS[action][1]
        values, encryption = encrypt(self.emulator, algorithm, self.values(action), fields)
        encryption["CiphertextBlob"] = base64.b64encode(bytes(128)).decode()
        keys = TENCENT_KEYS["long-term"]
        code = "FailedOperation.DecryptSystemError"
        self.refused(code, lambda: self.call(action, keys, values, encryption=encryption))

    def refused(self, code, call):
        from tencentcloud.common.exception.tencent_cloud_sdk_exception import (
            TencentCloudSDKException,
        )

        try:
            call()
        except TencentCloudSDKException as error:
            equal("the error's code", error.get_code(), code)
        else:
            raise Failure(f"accepted instead of {code}")
        equal("charge", self.emulator.last_call()["charge"], "no")

    def wrong(self, code, keys):
        action = "BankCard2EVerification"
        self.refused(code, lambda: self.call(action, keys, self.values(action)))

    def erroneous(self, code):
        self.emulator.script("tencent", reply={"kind": "error", "code": code})
        self.wrong(code, TENCENT_KEYS["long-term"])


def encrypt(emulator, algorithm, values, fields):
    """Encrypts fields as Tencent describes; the SDKs leave that to their users."""
    from cryptography.hazmat.primitives import padding, serialization
    from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    values, tags = dict(values), []
    if algorithm == "AES-256-CBC":
        key, iv = os.urandom(16).hex().encode(), os.urandom(16)
        pem = emulator.control("GET", "keys/rsa.pem", raw=True)
        public = serialization.load_pem_public_key(pem.encode())
        blob = public.encrypt(key, rsa_padding.PKCS1v15())
    else:
        key, iv = os.urandom(8).hex().encode(), os.urandom(12)
        blob = wrap_with_sm2(emulator.control("GET", "keys/sm2.pem", raw=True), key)
    for name in fields:
        plain = values[name].encode()
        if algorithm == "AES-256-CBC":
            padder = padding.PKCS7(128).padder()
            plain = padder.update(plain) + padder.finalize()
            encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        else:
            encryptor = Cipher(algorithms.SM4(key), modes.GCM(iv)).encryptor()
        cipher = encryptor.update(plain) + encryptor.finalize()
        if algorithm == "SM4-GCM":
            tags.append(base64.b64encode(encryptor.tag).decode())
        values[name] = base64.b64encode(cipher).decode()
    return values, {
        "EncryptList": fields,
        "CiphertextBlob": base64.b64encode(blob).decode(),
        "Iv": base64.b64encode(iv).decode(),
        "Algorithm": algorithm,
        "TagList": tags,
    }


def wrap_with_sm2(pem, key):
    """SM2 by OpenSSL, whose DER is turned into C1 C3 C2 with an uncompressed point."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pem)
        file.flush()
        command = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", file.name]
        der = subprocess.run(command, input=key, capture_output=True, check=True).stdout
    parts, rest = [], der_body(der)[0]
    while rest:
        part, rest = der_body(rest)
        parts.append(part)
    x, y = (part.lstrip(b"\0").rjust(32, b"\0") for part in parts[:2])
    return b"\x04" + x + y + parts[2] + parts[3]


def der_body(der):
    """The content of the first DER element, and what follows it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start : start + length], der[start + length :]


def tencent_suite(report, package, plain, secure):
    published = tables()["tencent"]
    for emulator in (plain, secure):
        vendor = Tencent(emulator)
        for credentials in TENCENT_KEYS:
            for action in TENCENT_ACTIONS:
                report.check(
                    f"tencent {package} {emulator.scheme} {credentials}",
                    action,
                    lambda: vendor.accepted(action, credentials),
                )
    vendor = Tencent(plain)
    for action, (table, _) in TENCENT_ACTIONS.items():
        for language in ("en-US", "zh-CN"):
            for code, row in published[table].items():
                report.check(
                    f"tencent {package} codes {language}",
                    f"{action} {code}",
                    lambda: vendor.scripted(action, code, row, language),
                )
    for algorithm in ("AES-256-CBC", "SM4-GCM"):
        for action in TENCENT_ACTIONS:
            report.check(
                f"tencent {package} {algorithm}",
                action,
                lambda: vendor.encrypted(action, algorithm),
            )
        report.check(
            f"tencent {package} refused", algorithm, lambda: vendor.spoilt(algorithm)
        )
    key, secret, _ = TENCENT_KEYS["long-term"]
    temporary, temporary_secret, _ = TENCENT_KEYS["temporary"]
    for code, keys in (
        ("AuthFailure.SignatureFailure", (key, "wrong", None)),
        ("AuthFailure.SecretIdNotFound", ("AKIDNOBODY", secret, None)),
        ("AuthFailure.TokenFailure", (key, secret, "unasked")),
        ("AuthFailure.TokenFailure", (temporary, temporary_secret, "wrong")),
        ("AuthFailure.TokenFailure", (temporary, temporary_secret, None)),
    ):
        report.check(f"tencent {package} refused", str(keys), lambda: vendor.wrong(code, keys))
    for code in ("RequestLimitExceeded", "UnauthorizedOperation.Arrears"):
        report.check(f"tencent {package} refused", code, lambda: vendor.erroneous(code))


# --- Alibaba ------------------------------------------------------------------------------------

ALIBABA_KEYS = {
    "long-term": ("LTAIEMULATOR", "emulator-alibaba-secret", None),
    "temporary": (
        "STS.EMULATOR",
        "emulator-alibaba-temporary-secret",
        "emulator-alibaba-security-token",
    ),
}
SUB_CODES = ["101", *map(str, range(201, 217)), *map(str, range(301, 307))]


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def masked(values):
    return {
        "bank_card": values["bank_card"][:-6] + md5(values["bank_card"][-6:]),
        "user_name": md5(values["user_name"][0]) + values["user_name"][1:],
        "identify_num": ID_NUMBER[:6] + md5(ID_NUMBER[6:14]) + ID_NUMBER[14:],
        "mobile": md5(PHONE),
    }


class Alibaba:
    """Alibaba's two packages."""

    def __init__(self, emulator):
        self.emulator = emulator

    def client(self, module, keys):
        from alibabacloud_tea_openapi.utils_models import Config

        config = Config(
            access_key_id=keys[0],
            access_key_secret=keys[1],
            security_token=keys[2],
            endpoint=self.emulator.host,
            protocol=self.emulator.scheme,
            ca=self.emulator.ca,
        )
        return module.Client(config)

    def call(self, action, keys, factors=4, mode="normal", card=CARD, name=NAME):
        import alibabacloud_cloudauth20190307.client as mainland
        import alibabacloud_cloudauth20190307.models as mainland_models
        import alibabacloud_cloudauth_intl20220809.client as intl
        import alibabacloud_cloudauth_intl20220809.models as intl_models

        if action == "KeepaliveIntl":
            return self.client(intl, keys).keepalive_intl().body
        values = {
            "bank_card": card,
            "user_name": name,
            "identify_num": ID_NUMBER,
            "mobile": PHONE,
        }
        values = masked(values) if mode == "md5" else values
        values = dict(list(values.items())[:factors])
        values["param_type"] = mode
        values["verify_mode"] = "VERIFY_BANK_CARD"
        values["product_type"] = f"BANK_CARD_{factors}_META"
        if action == "BankMetaVerifyIntl":
            request = intl_models.BankMetaVerifyIntlRequest(
                product_code="BANK_CARD_N_META", **values
            )
            return self.client(intl, keys).bank_meta_verify_intl(request).body
        request = mainland_models.BankMetaVerifyRequest(**values)
        return self.client(mainland, keys).bank_meta_verify(request).body

    def accepted(self, action, credentials, factors, mode):
        answer = self.call(action, ALIBABA_KEYS[credentials], factors, mode)
        equal("BizCode", answer.result_object.biz_code, "1")
        equal("SubCode", answer.result_object.sub_code, "101")
        call = self.emulator.last_call()
        equal("action", call["action"], action)
        equal("operation", call["operation"], ["two", "three", "four"][factors - 2])
        equal("charge", call["charge"], "yes")
        equal("temporary", call["temporary_credentials"], credentials == "temporary")
        equal("a canonical query", call["canonical_query"], True)

    def probe(self, credentials):
        answer = self.call("KeepaliveIntl", ALIBABA_KEYS[credentials])
        equal("Code", answer.code, "Success")
        equal("charge", self.emulator.last_call()["charge"], "no")

    def scripted(self, action, code):
        self.emulator.script("alibaba", reply={"kind": "code", "code": code})
        answer = self.call(action, ALIBABA_KEYS["long-term"])
        equal("BizCode", answer.result_object.biz_code, code[0])
        equal("SubCode", answer.result_object.sub_code, code)
        charge = self.emulator.last_call()["charge"]
        equal("charge", charge, "no" if code[0] == "3" else "yes")

    def blank(self, action):
        """The SDK writes a blank as `+` into the URL and signs `%20`."""
        card, name = "6225760000000005", "Wei Xiaobao"
        answer = self.call(action, ALIBABA_KEYS["long-term"], 2, card=card, name=name)
        equal("SubCode", answer.result_object.sub_code, "101")
        equal("a canonical query", self.emulator.last_call()["canonical_query"], False)

    def refused(self, code, keys):
        try:
            self.call("BankMetaVerifyIntl", keys)
        except Exception as error:
            equal("the error's code", getattr(error, "code", repr(error)), code)
        else:
            raise Failure(f"accepted instead of {code}")
        equal("charge", self.emulator.last_call()["charge"], "no")

    def erroneous(self, code):
        self.emulator.script("alibaba", reply={"kind": "error", "code": code})
        self.refused(code, ALIBABA_KEYS["long-term"])


def alibaba_suite(report, plain, secure):
    actions = ("BankMetaVerifyIntl", "BankMetaVerify")
    for emulator in (plain, secure):
        vendor = Alibaba(emulator)
        for credentials in ALIBABA_KEYS:
            group = f"alibaba {emulator.scheme} {credentials}"
            for action in actions:
                for factors in (2, 3, 4):
                    for mode in ("normal", "md5"):
                        report.check(
                            group,
                            f"{action} {factors} {mode}",
                            lambda: vendor.accepted(action, credentials, factors, mode),
                        )
            report.check(group, "KeepaliveIntl", lambda: vendor.probe(credentials))
    vendor = Alibaba(plain)
    for action in actions:
        for code in SUB_CODES:
            name = f"{action} {code}"
            report.check("alibaba codes", name, lambda: vendor.scripted(action, code))
        report.check("alibaba blank in a name", action, lambda: vendor.blank(action))
    key, secret, _ = ALIBABA_KEYS["long-term"]
    temporary, temporary_secret, _ = ALIBABA_KEYS["temporary"]
    for code, keys in (
        ("SignatureDoesNotMatch", (key, "wrong", None)),
        ("InvalidAccessKeyId.NotFound", ("LTAINOBODY", secret, None)),
        ("InvalidSecurityToken.MismatchWithAccessKey", (key, secret, "unasked")),
        ("InvalidSecurityToken.MismatchWithAccessKey", (temporary, temporary_secret, "wrong")),
        ("MissingSecurityToken", (temporary, temporary_secret, None)),
    ):
        report.check("alibaba refused", str(keys), lambda: vendor.refused(code, keys))
    for code in ("Throttling.Api", "Forbidden.AccountAccessDenied"):
        report.check("alibaba refused", code, lambda: vendor.erroneous(code))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=["mainland", "international"])
    parser.add_argument("--http", required=True, help="URL of the plain emulator")
    parser.add_argument("--https", required=True, help="URL of the emulator with TLS")
    parser.add_argument("--ca", required=True, help="certificate that signed the latter's")
    parser.add_argument("--results", required=True, help="file for the two totals")
    arguments = parser.parse_args()
    plain, secure = Emulator(arguments.http), Emulator(arguments.https, arguments.ca)
    for emulator in (plain, secure):
        emulator.control("POST", "reset")
        calls = emulator.control("GET", "ledger")
        equal("the number of calls before the first", len(calls), 0)
        emulator.seq = 0
    report = Report()
    if arguments.suite == "mainland":
        # 2 x 2 x 4 accepted, 2 x 69 codes, 2 x 4 encrypted, 9 refused; 2 x 2 x 13 accepted,
        # 2 x 23 codes, 2 blanks, 7 refused
        expected = 16 + 138 + 8 + 9 + 52 + 46 + 2 + 7
        tencent_suite(report, "mainland", plain, secure)
        alibaba_suite(report, plain, secure)
    else:
        expected = 16 + 138 + 8 + 9
        tencent_suite(report, "international", plain, secure)
    report.show()
    passed, failed = report.totals()
    if passed + failed != expected:
        print(f"{passed + failed} checks ran, not {expected}", file=sys.stderr)
        failed += 1
    Path(arguments.results).write_text(f"{passed} {failed}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
