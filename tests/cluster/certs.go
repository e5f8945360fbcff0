package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// writeCerts makes a certificate authority for this cluster only, the API
// server's certificate signed by it, and the key that signs service account
// tokens. The authority's own key is not written, since nothing else is signed.
func writeCerts(p *plan) (authorityPEM []byte, err error) {
	authorityKey, err := newKey()
	if err != nil {
		return nil, err
	}
	authority := template(1, "podwait-cluster-ca")
	authority.IsCA = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	authorityPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER})
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return nil, err
	}

	serverKey, err := newKey()
	if err != nil {
		return nil, err
	}
	server := template(2, "kube-apiserver")
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	server.DNSNames = []string{"localhost"}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, authority, serverKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	if err := writePEM(p.path("apiserver.crt"), "CERTIFICATE", serverDER); err != nil {
		return nil, err
	}
	if err := writeKey(p.path("apiserver.key"), serverKey); err != nil {
		return nil, err
	}

	serviceAccountKey, err := newKey()
	if err != nil {
		return nil, err
	}
	return authorityPEM, writeKey(p.path("service-account.key"), serviceAccountKey)
}

func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		BasicConstraintsValid: true,
	}
}

// Elliptic curve keys, because RSA keys take noticeably long to generate.
func newKey() (crypto.Signer, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
