/** One door to the server: adds the key, and turns every failure into an `ApiError` that can be shown. */

/** The header with the correlation id of a request. */
export const REQUEST_ID = "X-Request-Id";

const UNREACHABLE = "The server cannot be reached. Check that it is running, then try again.";

export class ApiError extends Error {
  readonly status: number;
  readonly correlationId: string | null;

  /** `status` is the HTTP status, or 0 when no answer came. */
  constructor(message: string, status: number, correlationId: string | null = null) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.correlationId = correlationId;
  }
}

export interface KeyStore {
  get(): string | null;
  set(key: string | null): void;
}

/** Keeps the key for this browser tab only. */
export function sessionKeys(storage: Storage): KeyStore {
  const name = "mmedagent.key";
  return {
    get: () => storage.getItem(name),
    set: (key) => (key === null ? storage.removeItem(name) : storage.setItem(name, key)),
  };
}

export type Request = (path: string, init?: RequestInit) => Promise<Response>;

export function createRequest(keys: KeyStore): Request {
  return async (path, init = {}) => {
    const headers = new Headers(init.headers);
    const key = keys.get();
    if (key !== null) headers.set("Authorization", `Bearer ${key}`);
    const response = await fetch(path, { ...init, headers }).catch((cause: unknown) => {
      if (init.signal?.aborted) throw cause;
      throw new ApiError(UNREACHABLE, 0);
    });
    if (!response.ok) throw await readProblem(response);
    return response;
  };
}

/** Sends a form and tells how much of it has left. Gives the JSON of the answer. */
export type Upload = (
  path: string,
  form: FormData,
  onProgress: (share: number) => void,
  signal: AbortSignal,
) => Promise<unknown>;

/** By XMLHttpRequest, since fetch tells nothing about a body on its way. Rejects with `signal.reason` when aborted. */
export function createUpload(keys: KeyStore): Upload {
  return (path, form, onProgress, signal) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", path);
      const key = keys.get();
      if (key !== null) request.setRequestHeader("Authorization", `Bearer ${key}`);
      request.upload.onprogress = ({ loaded, total }) => onProgress(total === 0 ? 0 : loaded / total);
      request.onload = () => {
        const body = parse(request.responseText);
        if (request.status < 300) resolve(body);
        else reject(problemOf(body, request.status, request.getResponseHeader(REQUEST_ID)));
      };
      request.onerror = () => reject(new ApiError(UNREACHABLE, 0));
      request.onabort = () => reject(signal.reason as Error);
      signal.addEventListener("abort", () => request.abort());
      request.send(form);
    });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const readProblem = async (response: Response): Promise<ApiError> =>
  problemOf(parse(await response.text().catch(() => "")), response.status, response.headers.get(REQUEST_ID));

/** Problem details (RFC 9457); anything else becomes a sentence with the status. */
function problemOf(body: unknown, status: number, requestId: string | null): ApiError {
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const detail = problem["detail"] ?? problem["title"];
  const id = problem["correlation_id"] ?? requestId;
  return new ApiError(
    typeof detail === "string" ? detail : `The server answered with status ${status}.`,
    status,
    typeof id === "string" ? id : null,
  );
}
