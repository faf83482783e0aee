// Package readme keeps the README's code honest.
package readme

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var block = regexp.MustCompile("(?s)```go\n// ([a-z_]+\\.go)\n(.*?)```")

// TestProgram writes the README's program and its test to a folder, as a reader
// would, runs the test, starts the program and sends it the README's own
// request.
func TestProgram(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(".", "_program") //nolint:usetesting // it has to lie in a module; the underscore hides it from ./...
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files := block.FindAllSubmatch(readme, -1)
	if len(files) != 2 {
		t.Fatalf("the README has %d files, want the program and its test", len(files))
	}
	addr := freeAddr(t) // the README's own may be taken, by the quickstart say
	for _, f := range files {
		code := bytes.ReplaceAll(f[2], []byte("localhost:8080"), []byte(addr))
		if err := os.WriteFile(filepath.Join(dir, string(f[1])), code, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "test", "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("its test: %v\n%s", err, out)
	}
	binary, err := filepath.Abs(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", binary, "./"+dir).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	program := exec.Command(binary)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill(); _ = program.Wait() })
	if resp := post(t, strings.ReplaceAll(string(readme), "localhost:8080", addr)); resp != `{"card":{"number":"[redacted]"},"qty":1}` {
		t.Errorf("answer %q\n%s", resp, stderr.String())
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// post sends what the README's curl line sends, once the program listens.
func post(t *testing.T, readme string) string {
	t.Helper()
	curl := regexp.MustCompile(`curl -i -d '([^']+)' (\S+)`).FindStringSubmatch(readme)
	if curl == nil {
		t.Fatal("the README has no curl line")
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Post("http://"+curl[2], "application/x-www-form-urlencoded", strings.NewReader(curl[1]))
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			continue
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("status %d", resp.StatusCode)
		}
		return strings.TrimSpace(b.String())
	}
}
