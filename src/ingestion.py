"""Takes what an app sends to Azure Application Insights, and prints a line for each item: its table there, what it says, its trace."""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 5324


def line(item: dict) -> str:
    """An item as the table in which Azure keeps it, what it says, the begin of its trace id, and how many it stands for."""
    kind, data = item["data"]["baseType"].removesuffix("Data"), item["data"]["baseData"]
    result = "ok" if data.get("success") else "FAILED"
    if kind == "Request":
        told = "requests", f"{data['name']} {data['responseCode']} {result}"
    elif kind == "RemoteDependency":
        told = "dependencies", f"{data.get('type', '')} {data['name']} {data['resultCode']} {result}"
    elif kind == "Exception":
        told = "exceptions", data["exceptions"][0]["typeName"]
    elif kind == "Message":
        told = "traces", data["message"].partition("\n")[0]
    else:
        told = "customMetrics", ", ".join(f"{metric['name']} {metric['value']}" for metric in data["metrics"])
    stands_for = f"  x{100 / rate:.1f}" if (rate := item.get("sampleRate", 100)) < 100 else ""
    return f"{told[0]:13} {told[1]}  [{item['tags'].get('ai.operation.id', '')[:8]}]{stands_for}"


class Ingestion(BaseHTTPRequestHandler):
    """Azure's door: a list of items comes in, and how many were taken is the answer."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        items = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        print("".join(f"{line(item)}\n" for item in items), end="", flush=True)
        answer = json.dumps({"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Ingestion)
    print(f"Listening at: http://127.0.0.1:{PORT}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
