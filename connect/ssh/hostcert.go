package ssh

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mitosis-go/mitosis/connect"
	"github.com/mitosis-go/mitosis/connect/internal/printable"
	"github.com/mitosis-go/mitosis/core"
	"golang.org/x/crypto/ssh"
)

// More kinds of [connect.ErrHostKey].
var (
	// ErrHostKeyRevoked: the key, or the authority that signed it, is revoked.
	ErrHostKeyRevoked = connect.KindOf(connect.ErrHostKey, "host key is revoked")
	// ErrHostCertificate: the host's certificate is not valid, and its plain key is not
	// known. The next two are kinds of it.
	ErrHostCertificate        = connect.KindOf(connect.ErrHostKey, "host certificate is not valid")
	ErrHostCertificateExpired = connect.KindOf(ErrHostCertificate, "host certificate has expired, or is not valid yet")
	ErrHostCertificateName    = connect.KindOf(ErrHostCertificate, "host certificate is for another name")
)

func init() {
	for code, err := range map[uint64]error{
		120: ErrHostKeyRevoked, 121: ErrHostCertificate, 122: ErrHostCertificateExpired, 123: ErrHostCertificateName,
	} {
		core.RegisterSentinel(code, err)
	}
}

// judgeCertificate checks a certificate as sshkey_cert_check_host of OpenSSH does.
func (v *hostVerifier) judgeCertificate(cert *ssh.Certificate) error {
	for _, key := range []ssh.PublicKey{cert.Key, cert.SignatureKey} {
		if containsKey(v.record.revoked, key) {
			return v.refuse(ErrHostKeyRevoked, "its certificate %q has the key %s, which is marked @revoked at %s",
				cert.KeyId, describeKey(key), v.where(v.record.revoked, key))
		}
	}
	if !containsKey(v.record.authorities, cert.SignatureKey) {
		return v.refuse(connect.ErrHostKeyUnknown, "its certificate %q is signed by %s, which is no @cert-authority for it in %s",
			cert.KeyId, describeKey(cert.SignatureKey), v.listFiles())
	}
	signatures := v.set.caSignatures
	if signatures == nil {
		signatures = signatureNames.defaults()
	}
	now := uint64(time.Now().Unix())
	switch {
	case cert.CertType != ssh.HostCert:
		return v.refuse(ErrHostCertificate, "its certificate %q is one for users", cert.KeyId)
	case !slices.Contains(signatures, cert.Signature.Format):
		return v.refuse(ErrHostCertificate, "its certificate %q is signed by %s, which CASignatureAlgorithms does not have",
			cert.KeyId, printable.Text(cert.Signature.Format))
	case now < cert.ValidAfter:
		return v.refuse(ErrHostCertificateExpired, "its certificate %q is valid from %s on", cert.KeyId, certTime(cert.ValidAfter))
	case cert.ValidBefore != ssh.CertTimeInfinity && now >= cert.ValidBefore:
		return v.refuse(ErrHostCertificateExpired, "its certificate %q was valid until %s", cert.KeyId, certTime(cert.ValidBefore))
	case len(cert.ValidPrincipals) > 0 && !slices.Contains(cert.ValidPrincipals, v.host):
		return v.refuse(ErrHostCertificateName, "its certificate %q is for %s; HostKeyAlias says under which name the host is known",
			cert.KeyId, printable.Text(strings.Join(cert.ValidPrincipals, ", ")))
	}
	// The signature, and options that must be understood.
	if err := new(ssh.CertChecker).CheckCert(v.host, cert); err != nil {
		return v.refuse(ErrHostCertificate, "its certificate %q: %v", cert.KeyId, err)
	}
	return nil
}

func certTime(seconds uint64) string {
	if seconds > 1<<40 {
		return fmt.Sprintf("second %d", seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}
