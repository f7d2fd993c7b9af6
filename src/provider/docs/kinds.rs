//! What is not the table of one vendor.

use super::{charged, code, table};
use crate::provider::{
    ProviderErrorKind,
    sandbox::{self, Behaviour},
};

const CAPABILITIES: &str = "\
## What each kind can do

| | `tencent` | `ace` | `alibaba` | `grpc` | `sandbox` | `bin` |
|---|---|---|---|---|---|---|
| 2, 3 and 4 factors | yes | yes | yes | as described | yes | no |
| card information | yes | yes | no | as described | yes | yes |
| by the first digits alone | no | no | no | no | no | yes |
| resident identity cards | yes | yes | yes | as described | yes | |
| other documents | mapped ones | mapped ones | mapped ones | as described | yes | |
| temporary credentials | yes | no | yes | | | |
| encrypted or masked fields | AES-256-CBC, SM4-GCM | no | md5 | | | |
| free check of the credentials | no | no | international | | | |
| costs | money | money | money | as the server says | nothing | nothing |

*Mapped ones*: kinds of documents that `identity_types` of the provider's settings gives the
vendor's code for. A question about any other kind is refused before anything is sent. *As
described*: what the server answers to `DescribeProvider`; everything, until it has.
";

pub(super) fn capabilities() -> String {
    CAPABILITIES.to_owned()
}

/// What is known about a request that brought no answer, and what follows.
pub(super) fn errors() -> String {
    let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    let rows = ProviderErrorKind::ALL.iter().map(|kind| {
        [
            code(kind.as_str()),
            code(kind.outcome().as_str()),
            charged(kind.charge()).to_owned(),
            yes_no(kind.may_fail_over()),
            yes_no(kind.skips_provider()),
        ]
    });
    let head = [
        "error",
        "attempt outcome",
        "charged",
        "another vendor may be asked",
        "the provider is skipped for a while",
    ];
    format!(
        "## What an error means\n\n\
         A vendor's answer is data, whatever it says. An error means that there is no answer.\n\n{}",
        table(head, rows)
    )
}

pub(super) fn grpc() -> String {
    format!(
        "## A server of your own: `kind = \"grpc\"`\n\n\
         Any server that implements `bankcard.provider.v1` \
         (`proto/bankcard/provider/v1/provider_service.proto`);\n\
         `examples/provider-python` is one. Its answers carry the result codes of the public\n\
         contract, so there is no table of codes. Proxies are not offered.\n\n{}\n\
         A status that the client makes up out of a broken connection is never read as the server's\n\
         word. A call whose message surely did not leave is `NOT_SENT`.\n",
        table(
            ["gRPC status", "read as"],
            [
                ("`UNAUTHENTICATED`", ProviderErrorKind::Misconfigured),
                ("`PERMISSION_DENIED`", ProviderErrorKind::Misconfigured),
                ("`UNIMPLEMENTED`", ProviderErrorKind::Misconfigured),
                ("`RESOURCE_EXHAUSTED`", ProviderErrorKind::Throttled),
                ("`INVALID_ARGUMENT`", ProviderErrorKind::Refused),
                ("any other", ProviderErrorKind::OutcomeUnknown),
            ]
            .map(|(status, kind)| [status.to_owned(), code(kind.as_str())]),
        )
    )
}

pub(super) fn sandbox() -> String {
    let rows = sandbox::documented().iter().map(|row| {
        let verdict = match row.behaviour {
            Behaviour::Verify(result) => result.verdict().as_str(),
            Behaviour::Slow => "MATCH",
            Behaviour::Info(_) | Behaviour::Found(_) | Behaviour::Fails(_) => "",
        };
        [code(row.number), row.description(), verdict.to_owned()]
    });
    format!(
        "## The sandbox: `kind = \"sandbox\"`\n\n\
         The embedded test vendor. The card number alone decides, with any name, document and \
         phone;\n\
         no bank is known to issue cards with these numbers. Any other number is `UNVERIFIABLE`, \
         and as\ncard information `NO_INFORMATION`. Nothing is ever charged.\n\n{}",
        table(["card number", "what happens", "verdict"], rows)
    )
}

pub(super) fn bin() -> String {
    "## The embedded table: `kind = \"bin\"`\n\n\
     Knows issuer, type and network by the leading digits, without asking anybody. `data/README.md`\n\
     tells where it comes from.\n"
        .to_owned()
}
