"""Causes, not cases: names, signs and shapes that no table of the engine can have, and the like of
them that are no secrets. All secrets are made at run time."""

import string
from base64 import b64encode
from urllib.parse import quote

import pytest

from biostudio_doctor.redaction.redactor import Redactor

from .material import ALNUM, CHANCE, HEX, UPPER, pick

LETTERS = string.ascii_lowercase
ENGINE = Redactor(bytes(32))


def redact(text: str) -> str:
    once = b"".join(ENGINE.stream([text.encode()], {}))
    assert b"".join(ENGINE.stream([once], {})) == once
    return once.decode()


def word(size: int = 32, letters: str = ALNUM) -> str:
    """Random, and with some digits: chance makes words without any, which look like words."""
    return pick(CHANCE, letters, size - 6) + "7q4x2b"


#: {} is a random word of capitals, small letters and digits.
SHAPES = {
    "a vendor nobody knows": "request with acme_live_{} failed",
    "with dashes": 'x = "zz-pat-{}"',
    "any key": "meraki_key: {}",
    "any key in a header": "X-Lab-Partner-Key: {}",
    "whatever the name": 'const frobnicator = "{}"',
    "whatever the name, in an env file": "FROBNICATOR={}\n",
    "Go": 'var labToken string = "{}"',
    "TypeScript": 'const token: string = "{}"',
    "Rust": 'let token: &\'static str = "{}";',
    "C": 'char password[] = "{}";',
    "C#": 'string password = @"{}";',
    "make": "PASSWORD ?= {}\n",
    "an arrow": "password -> {}\n",
    "French": "mot_de_passe: {}\n",
    "Spanish": "contraseña = {}\n",
    "Vietnamese": "mật khẩu: {}\n",
    "Chinese": "密码\uff1a{}\n",
    "Russian": "пароль={}\n",
    "no scheme": "broker: guest:{}@mq.lab:5672\n",
    "npmrc": "//registry.lab/:_auth={}\n",
    "Rails": "Set-Cookie: a=1\nseen _lab_session={} again\n",
    "a pair of arguments": "field 'String' , 'API_KEY' , '\\\"{}\\\"'\n",
    "SNMP": "snmp:\n  community_strings:\n\t\t- '{}'\n",
    "a network device": "pac key 7 {}\n",
    "an ACL with blanks": 'user default on >"P@ss {} x" ~* +@all\n',
    "P/W": "P/W: {}\n",
    "a query": "https://host/x?code={}&b=1",
    "Oracle": "jdbc:oracle:thin:lab/{}@//db.lab:1521/studio",
    "SQL*Plus": 'sqlplus -s "lab/{}@db"',
    "IPsec": '10.0.0.1 %any : PSK "{}"\n',
    "SNMP's views": "com2sec readonly default {}\n",
    "asking SNMP": "snmpwalk -v2c -c {} switch.lab",
    "Unicode in SQL": "CREATE LOGIN lab WITH PASSWORD = N'{}'",
    "a value within": '<property name="pwd"><value>{}</value></property>',
    "a row": "Variable name | Initial Value\napiKey |{}\n",
    "a row of its own": "| DB_PASSWORD | {} |\n",
    "an option with a sign": 'mysqld --password = "{}"',
    "in braces": "<secret>{{lab AQAA {}}}</secret>",
    "a name that goes on": "- name: DB_PASS_BD_2\n  value: {}\n",
    "an address that is a hook": "https://chat.lab/hooks/{}",
    "a hook by its host": '"url": "https://hooks.lab.example/catch/42/{}"',
    "folded by YAML": 'x: "token_secret:\\\n  \\ {}\\n"',
    "iSCSI": "iscsiadm -n node.session.auth.password -v {}",
    "Bundler": "BUNDLE_GEMS__LAB=lab:{}",
    "Azure": "PrimaryKey: {}=\n",
}


#: {} is what a person makes up: letters, and no capitals.
NAMED = {
    "Go": 'var labToken string = "{}"',
    "TypeScript": 'const token: string = "{}"',
    "a header": "X-Lab-Partner-Key: {}",
    "SNMP": "snmp-server community {} RW\n",
    "P/W": "P/W: {}7\n",
    "LDAP": "ldaps://host bind 'OpenDSObject' pass '{}:J$6~9Lq' x\n",
}
#: ... and forms of vendors' tokens of odd alphabets, by what stands before and their length.
VENDORS = {
    "AQ.Ab8": 44, "AstraCS:": 40, "ABSK": 80, "$aact_prod_": 40, "FLWSECK_TEST-": 12,
    "xoxd-": 40, "mlsn.": 40, "AIK_CI_": 24, "4b1d": 38, "key-": 32, "duffel_test_": 43,
    "sha256~": 43, "api_live.": 32, "dvc_server_": 16, "polar_oat_": 30,
    "xoxe.xoxb-": 60, "NRII-": 32, "fm2_": 80, "SG.": 66,
}  # fmt: skip


#: Where a key stands that no name tells of.
BARE = (
    "request failed for {} (401)",
    "  - {}\n",
    'client = Acme("{}")',
    "acme --connect {} --verbose",
    'curl -H "X-Acme: {}" https://h.example/',
    "GET /hook?s={}&n=1 HTTP/1.1",
    "curl https://h.example/v1/{}/items",
    "<acme>{}</acme>",
    'X="{}"',
    '{{"value": "{}", "n": 3}}',
    "MaNdRiLl === {}\n",
    "1234567890:{}\n",
)


def keys() -> dict[str, str]:
    digits = f"{pick(CHANCE, HEX, 38).lower()}7a"
    uuid = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
    return {
        "of letters and digits": pick(CHANCE, ALNUM, 36) + "7qX4bK",
        "base64": b64encode(CHANCE.randbytes(48)).decode() + "Qx7bKw4z==",
        "small letters": pick(CHANCE, LETTERS + 2 * string.digits, 36) + "7q4x",
        "a licence": "-".join(f"{pick(CHANCE, UPPER, 4).upper()}7" for _ in range(5)),
        "a word and a UUID": f"lab-key-{uuid}",
        "three numbers": f"{digits[:32]}-{digits[:8]}-{digits[8:16]}",
        "capitals and a number": f"PSK{digits}",
    }


@pytest.mark.parametrize("place", BARE)
@pytest.mark.parametrize("kind", keys())
def test_keys_that_stand_alone(place: str, kind: str) -> None:
    """Not each: chance makes some that look like words."""
    made = [keys()[kind] for _ in range(20)]
    assert sum(secret not in redact(place.format(secret)) for secret in made) >= 14


@pytest.mark.parametrize("before", VENDORS)
def test_forms_of_vendors(before: str) -> None:
    secret = before + word(VENDORS[before])
    assert secret not in redact(f"request failed for {secret} (401)")


@pytest.mark.parametrize("shape", NAMED)
def test_what_people_make_up(shape: str) -> None:
    secret = pick(CHANCE, LETTERS, 14)
    assert secret not in redact(NAMED[shape].format(secret))


def test_a_pair_in_base64() -> None:
    made = (
        b64encode(f"{pick(CHANCE, LETTERS, 4)}:{word(4)}".encode()).decode() for _ in range(5000)
    )
    secret = min(made, key=lambda text: sum(letter.isdigit() for letter in text))
    assert secret not in redact(f'{{"auths": {{"registry.lab": {{"auth": "{secret}"}}}}}}')


@pytest.mark.parametrize("shape", SHAPES)
def test_what_no_table_knows(shape: str) -> None:
    secret = word()
    assert secret not in redact(SHAPES[shape].format(secret))


def test_keys_of_any_vendor_in_hexadecimal_or_as_uuid() -> None:
    for secret in number_and_uuid():
        assert secret not in redact(f"frobnicator_key: {secret}\n")


def number_and_uuid() -> tuple[str, str]:
    number = pick(CHANCE, HEX, 28).lower() + "7a4c"
    return number, "-".join((number[:8], number[8:12], number[12:16], number[16:20], number[20:]))


@pytest.mark.parametrize(
    "group",
    [
        "JENKINS_TOKENS = [\n    ci: '{}',\n    cd: '{}'\n]",
        '{{"api_keys": {{"primary": "{}", "backup": {{"lab": "{}"}}}}, "port": 1}}',
        "webhook_secrets:\n  lab: {}\n  studio:\n    main: '{}'\nport: 1\n",
        '{{"backup_codes": [{{"code": "{}"}}, {{"code": "{}", "used": false}}]}}',
    ],
)
def test_members_of_what_a_name_tells(group: str) -> None:
    for first, second in (number_and_uuid(), (word(), word())):
        after = redact(group.format(first, second))
        assert first not in after
        assert second not in after
        assert ("port: 1" in group) == ("port: 1" in after)


def test_what_stands_in_for_a_second_factor() -> None:
    codes = [f"{CHANCE.randrange(10**8):08}" for _ in range(3)]
    after = redact(f"recovery_codes: {','.join(codes)}\nbackup_codes = ['{codes[0]}']\n")
    assert not [code for code in codes if code in after]


def test_cookies_of_a_session() -> None:
    secret = pick(CHANCE, LETTERS, 12)
    text = f'{{"cookies": {{"theme": "dark", "sessionid": "{secret}", "x-csrf": "{secret}"}}}}'
    after = redact(text)
    assert secret not in after
    assert '"theme": "dark"' in after


@pytest.mark.parametrize("sign", [" = ", ": ", '" : "'])
def test_beside_nothing_but_the_name_of_a_service(sign: str) -> None:
    for secret in (*number_and_uuid(), f"{word(10)}.{word(12)}={word(8)}"):
        assert secret not in redact(f'"mailgun{sign}{secret}"\n')
    for value in ("^12.3.4", "sha512-abcdef1234", "release-notes-of-2026", "true"):
        assert value in redact(f'"mailgun{sign}{value}"\n')


@pytest.mark.parametrize("before", ["requirepass ", "a:1:b:c:", "curl -u a:", "IDENTIFIED BY '"])
def test_a_secret_may_begin_with_a_dash(before: str) -> None:
    secret = word()
    after = "'" if before.endswith("'") else ""
    assert secret not in redact(f"{before}-{secret}{after}\n")
    for line in ("mysql -p -u root --password -h db\n", "redis-cli -a -h db.lab\n"):
        assert redact(line) == line


def test_what_is_encoded_for_a_url_becomes_the_token_of_what_it_means() -> None:
    secret = f"{word()}/+ {word(8)}"
    plain = redact(f'{{"password": "{secret}"}}').split('"')[3]
    for text in (f'{{"password":"{secret}"}}', f'{{"a":1,"password":"{secret}"}}'):
        for encoded in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
            after = redact(f"GET /x?q={encoded}&port=5432 200")
            assert plain in after
            assert after.endswith("&port=5432 200")
    hashed = f"$2b$12${pick(CHANCE, ALNUM, 53)}"
    assert quote(hashed[8:]) not in redact(f"user=a&row={quote(hashed, safe='')}&b=1")


def test_vaults_and_robots() -> None:
    digits = pick(CHANCE, HEX, 80).lower()
    assert digits not in redact(f"$ANSIBLE_VAULT;1.1;AES256\n{digits}\nport: 1\n")
    key = "-".join(["A3", *(pick(CHANCE, UPPER, size) for size in (6, 6, 5, 5, 5, 5))])
    assert key not in redact(f"emergency kit: {key} (print it)")
    robot = word(64, UPPER).upper()
    assert robot not in redact(f"lab+builder:{robot}\n")


def harmless() -> list[str]:
    digest, base = pick(CHANCE, HEX, 64).lower(), word(40)
    small = pick(CHANCE, ALNUM, 20).lower()
    return [
        "Install: python3-jwt:amd64 (2.6.0-1, automatic), libpam-passwdqc:arm64 (2.0.2)",
        f"tmp/systemd-private-{digest[:32]}-chronyd.service-{word(6)}",
        f"dm-uuid-LVM-{word(64)}",
        f"docker-{digest}.scope",
        "snapshot-averylongnameofsomethingnice2026",
        "  community edition",
        f'"integrity": "sha512-{b64encode(base.encode()).decode()}"',
        "Patient12_TumorA_RNAseqBatch3_S12_L001_R1_001.fastq.gz",
        "void nccl_AllReduce_RING_LL_Sum_getPassRegistry15Ev",
        f"web_1.{small}7a9x0",
        f'requestId="{base}"',
        f"commit {base}",
        f"    {word(64)}",  # of a PEM block
        f"ssh-rsa AAAAB3NzaC1yc2EA{base} root@lab",
        f"|1|{word(27)}=|{word(27)}= ecdsa-sha2-nistp256 AAAAE2VjZHNh{base}",
        f"Sec-WebSocket-Accept: {word(27)}=",
        f"background: url(data:image/png;base64,{base})",
        f"'sha256-{word(43)}='",
        f"config: {b64encode(b'debug: true, workers: 8, region: eu').decode()}",
        f"Reading PV {word(32)}",
        'algorithm = "PBEWithHmacSHA256AndAES_256"',
        f"{word(30)}-----END CERTIFICATE-----",
        "Icmp6OutNeighborSolicits         3",
        "VM64BitMaxMemorySizeInMB: 4194304 version: 4.0",
        "/dev/disk/by-id/ata-Samsung_SSD_860_EVO_500GB_S3Z1NB0K123456A -> ../../sda",
        "nvme-SAMSUNG_MZQL21T9HCJR-00A07_S64GNE0R123456",
        "_ZN2at6native12_GLOBAL__N_123batch_norm_cpu_templateIfLb0EEESt5tupleIJNS_6TensorES3_S3_EE",
        "_ZNSt6vectorIiSaIiEE9push_backEOi",
        "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider2x",
        f"1.{small}7a9x0 running",
        f"etag: {base}",
        f"image_digest={base}",
        f"x-amz-id-2: {word(76)}",
        "primary_key = sample_id_2026a",
        f"cache_key={digest}",
        f"GPG_KEY={digest[:40].upper()}",
        "Cipher key: 512 bits",
        f"sig_key: {':'.join(digest[at : at + 2].upper() for at in range(0, 40, 2))}",
        f"Build time autogenerated kernel key: {digest[:40]}",
        "paste.filter_factory = keystonemiddleware.auth_token:filter_factory",
        'cookie=0x0, duration=8.528s, table=0, in_port="s1-eth2"',
        "storage: type=NSSDB,nickname='Server-Cert',token='NSS Certificate DB'",
        "socket: '/run/mysql.sock'  port: 3306  MySQL Community Server (GPL)",
        "fastcgi_pass   127.0.0.1:9000;",
        "/etc/passwd: d:",
        "image: quay.io/external-secrets/external-secrets:v0.9.11",
        f"docker://node:24.19.0-bookworm@sha256:{digest}",
        "password: arn:aws:secretsmanager:eu-west-2:123456789012:secret:dev/postgres-AbCdEf",
        "GET https://api.github.lab/repos/a/b/hooks/12345678/test 200",
        "https://docs.gitlab.lab/ee/user/project/integrations/webhooks.html",
        '"tokens": {"type": "object", "maxItems": 40, "shape": "XmlStringMaxLen255"}',
        "pass_fds: [3, 4]",
        f"primary_key={digest[:32]}",
        "bot = Bot(token=LabConfig.BOT_TOKEN)",
        "auth  pam_debug.so auth=perm_denied cred=success",
        "path_to_private_key = ~/.ssh/id_rsa",
        "peer sip:alice.long@10.1.2.3:5060 registered",
        "repo:tag@sha256:12345678",
        "repack.c: pass 'struct packing_data' to 'stage_tmp_packfiles'",
        "login_log_format_elements = user=<%u> method=%m",
        f"user=a&docker=%7B%22name%22%3A%22{small}%22%7D&port=1",
    ]


def test_their_like_that_are_no_secrets_stay() -> None:
    changed = [(line, redact(line + "\n")) for line in harmless()]
    assert not [pair for pair in changed if pair[0] + "\n" != pair[1]]


@pytest.mark.parametrize("line", ["options lab key={}\n", "options lab a=1 wepkey=0x{} b=2\n"])
def test_keys_that_modules_of_the_kernel_are_loaded_with(line: str) -> None:
    secret = pick(CHANCE, HEX, 26)
    assert secret not in redact(line.format(secret))
    assert redact(f"options nvidia key=1\n# key={secret}\n").startswith("options nvidia key=1\n")
