package guard

import (
	"net/http"
	"strings"
)

// mediaType returns the media type that h declares, in lower case and without
// parameters, or "" if it declares none, or several: clients differ in which
// one they believe.
func mediaType(h http.Header) string {
	if v := h["Content-Type"]; len(v) == 1 && !strings.Contains(v[0], ",") {
		bare, _, _ := strings.Cut(v[0], ";")
		return strings.ToLower(strings.TrimSpace(bare))
	}
	return ""
}

// octetStream says nothing about the bytes.
const octetStream = "application/octet-stream"

// opaqueTypes are media types whose bytes no guard reads. They pass.
var opaqueTypes = map[string]bool{
	"application/gzip":              true,
	"application/java-archive":      true,
	octetStream:                     true,
	"application/pdf":               true,
	"application/vnd.rar":           true,
	"application/wasm":              true,
	"application/x-7z-compressed":   true,
	"application/x-tar":             true,
	"application/zip":               true,
	"application/zstd":              true,
	"application/vnd.ms-fontobject": true,
}

func isOpaque(mediaType string) bool {
	if opaqueTypes[mediaType] {
		return true
	}
	top, sub, _ := strings.Cut(mediaType, "/")
	switch top {
	case "image", "audio", "video", "font":
		return sub != "" && !strings.HasSuffix(sub, "+xml") && !strings.HasSuffix(sub, "+json") // SVG is text
	}
	return false
}

// looksLikeJSON reports whether b begins as a JSON object or array does, in
// UTF-8 or UTF-16, and whether b is long enough to tell.
func looksLikeJSON(b []byte) (yes, known bool) {
	// White space, byte order marks, and the record separator of RFC 7464.
	const skipped = " \t\v\f\r\n\x00\xEF\xBB\xBF\xFE\xFF\x1E"
	for _, c := range b {
		if strings.IndexByte(skipped, c) < 0 {
			return c == '{' || c == '[' || c == ')', true // ")]}'" stands before JSON that scripts must not run
		}
	}
	return false, false
}
