package guardgrpc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

var insecureCreds = insecure.NewCredentials()

// connect serves on l until the test ends.
func connect(t testing.TB, server *grpc.Server, l net.Listener, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(l)
	}()
	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cc.Close()
		server.Stop()
		<-served
	})
	return cc
}

// counted counts the bytes that a server reads.
type counted struct {
	net.Listener
	read atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countedConn{c, l}, err
}

type countedConn struct {
	net.Conn
	l *counted
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.l.read.Add(int64(n))
	return n, err
}

// certificates makes credentials of a server and of a client with that SPIFFE
// id, signed by an authority that lives for the test.
func certificates(t *testing.T, id string) (server, client credentials.TransportCredentials) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey := key(t)
	root := certificate(t, authority, authority, authorityKey, authorityKey)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	spiffe, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(c *x509.Certificate) tls.Certificate {
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(2), authority.NotBefore, authority.NotAfter
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		k := key(t)
		return tls.Certificate{Certificate: [][]byte{certificate(t, c, root, k, authorityKey).Raw}, PrivateKey: k}
	}
	return credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{leaf(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})},
			ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS13,
		}), credentials.NewTLS(&tls.Config{
			Certificates: []tls.Certificate{leaf(&x509.Certificate{URIs: []*url.URL{spiffe}})},
			RootCAs:      pool, MinVersion: tls.VersionTLS13,
		})
}

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t *testing.T, c, parent *x509.Certificate, k, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
