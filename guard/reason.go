package guard

// Reasons of the pipeline itself. Decisions for them name the guard "body" or,
// for the others, the guard concerned.
const (
	ReasonPanic       Reason = "guard.panic"       // a guard panicked
	ReasonUnspecified Reason = "guard.unspecified" // a guard refused without a reason
	ReasonEdit        Reason = "guard.edit"        // an edit that cannot take effect
	ReasonGone        Reason = "client.gone"       // the client went away, or the context ended
	ReasonExpired     Reason = "principal.expired" // a stream outlived its principal
	ReasonTooLarge    Reason = "body.too_large"    // over Limits
	ReasonTruncated   Reason = "body.truncated"    // a body ended before its declared length
	ReasonEncoding    Reason = "body.encoding"     // a Content-Encoding that guards cannot read
	ReasonPartial     Reason = "body.partial"      // a part (206) of a response that guards must see whole
	ReasonHijacked    Reason = "body.hijacked"     // a connection taken over, with guards that must see the response
	ReasonOpaque      Reason = "body.opaque"       // flagged: a response of a media type that no guard reads
	ReasonUnread      Reason = "body.unread"       // guards did not get to see a body; in shadow if all of them are monitored
)

// bodyGuard is the name under which the pipeline itself decides about bodies.
const bodyGuard = "body"
