// Minimal declarations of TensorFlow's stable C API: only what tfjs-node's addon calls.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef enum { TF_FLOAT=1, TF_DOUBLE=2, TF_INT32=3, TF_UINT8=4, TF_INT16=5, TF_INT8=6, TF_STRING=7, TF_COMPLEX64=8, TF_INT64=9, TF_BOOL=10,
  TF_BFLOAT16=14, TF_UINT16=17, TF_COMPLEX128=18, TF_HALF=19, TF_RESOURCE=20, TF_VARIANT=21, TF_UINT32=22, TF_UINT64=23 } TF_DataType;
typedef enum { TF_ATTR_STRING=0, TF_ATTR_INT=1, TF_ATTR_FLOAT=2, TF_ATTR_BOOL=3, TF_ATTR_TYPE=4, TF_ATTR_SHAPE=5, TF_ATTR_TENSOR=6,
  TF_ATTR_PLACEHOLDER=7, TF_ATTR_FUNC=8 } TF_AttrType;
typedef enum { TF_OK=0, TF_CANCELLED=1, TF_UNKNOWN=2, TF_INVALID_ARGUMENT=3, TF_NOT_FOUND=5, TF_UNIMPLEMENTED=12, TF_INTERNAL=13 } TF_Code;
#define TFX_OPAQUE(n) typedef struct n n
TFX_OPAQUE(TF_Status); TFX_OPAQUE(TF_Tensor); TFX_OPAQUE(TF_Graph); TFX_OPAQUE(TF_Operation); TFX_OPAQUE(TF_Session); TFX_OPAQUE(TF_SessionOptions);
TFX_OPAQUE(TF_DeviceList); TFX_OPAQUE(TFE_Context); TFX_OPAQUE(TFE_ContextOptions); TFX_OPAQUE(TFE_Op); TFX_OPAQUE(TFE_TensorHandle);
typedef struct { const void* data; size_t length; void (*data_deallocator)(void*, size_t); } TF_Buffer;
typedef struct { TF_Operation* oper; int index; } TF_Output;
#ifdef __cplusplus
extern "C" {
#endif
const char* TF_Version(void); size_t TF_DataTypeSize(TF_DataType);
TF_Status* TF_NewStatus(void); void TF_DeleteStatus(TF_Status*); TF_Code TF_GetCode(const TF_Status*); const char* TF_Message(const TF_Status*);
TF_Tensor* TF_NewTensor(TF_DataType, const int64_t*, int, void*, size_t, void (*)(void*, size_t, void*), void*);
TF_Tensor* TF_AllocateTensor(TF_DataType, const int64_t*, int, size_t); void TF_DeleteTensor(TF_Tensor*);
TF_DataType TF_TensorType(const TF_Tensor*); int TF_NumDims(const TF_Tensor*); int64_t TF_Dim(const TF_Tensor*, int);
size_t TF_TensorByteSize(const TF_Tensor*); void* TF_TensorData(const TF_Tensor*); int64_t TF_TensorElementCount(const TF_Tensor*);
TF_Buffer* TF_NewBuffer(void); TF_Buffer* TF_NewBufferFromString(const void*, size_t); void TF_DeleteBuffer(TF_Buffer*);
TF_Graph* TF_NewGraph(void); void TF_DeleteGraph(TF_Graph*); TF_Operation* TF_GraphOperationByName(TF_Graph*, const char*);
TF_SessionOptions* TF_NewSessionOptions(void); void TF_DeleteSessionOptions(TF_SessionOptions*);
TF_Session* TF_LoadSessionFromSavedModel(const TF_SessionOptions*, const TF_Buffer*, const char*, const char* const*, int, TF_Graph*, TF_Buffer*, TF_Status*);
void TF_SessionRun(TF_Session*, const TF_Buffer*, const TF_Output*, TF_Tensor* const*, int, const TF_Output*, TF_Tensor**, int,
                   const TF_Operation* const*, int, TF_Buffer*, TF_Status*);
void TF_DeleteSession(TF_Session*, TF_Status*);
void TF_DeleteDeviceList(TF_DeviceList*); int TF_DeviceListCount(const TF_DeviceList*);
const char* TF_DeviceListName(const TF_DeviceList*, int, TF_Status*); const char* TF_DeviceListType(const TF_DeviceList*, int, TF_Status*);
TFE_ContextOptions* TFE_NewContextOptions(void); void TFE_DeleteContextOptions(TFE_ContextOptions*);
TFE_Context* TFE_NewContext(const TFE_ContextOptions*, TF_Status*); void TFE_DeleteContext(TFE_Context*); TF_DeviceList* TFE_ContextListDevices(TFE_Context*, TF_Status*);
TFE_TensorHandle* TFE_NewTensorHandle(const TF_Tensor*, TF_Status*); void TFE_DeleteTensorHandle(TFE_TensorHandle*);
TFE_TensorHandle* TFE_TensorHandleCopyToDevice(TFE_TensorHandle*, TFE_Context*, const char*, TF_Status*);
TF_DataType TFE_TensorHandleDataType(TFE_TensorHandle*); int TFE_TensorHandleNumDims(TFE_TensorHandle*, TF_Status*);
int64_t TFE_TensorHandleDim(TFE_TensorHandle*, int, TF_Status*); TF_Tensor* TFE_TensorHandleResolve(TFE_TensorHandle*, TF_Status*);
TFE_Op* TFE_NewOp(TFE_Context*, const char*, TF_Status*); void TFE_DeleteOp(TFE_Op*); void TFE_OpAddInput(TFE_Op*, TFE_TensorHandle*, TF_Status*);
void TFE_OpSetAttrString(TFE_Op*, const char*, const void*, size_t); void TFE_OpSetAttrInt(TFE_Op*, const char*, int64_t);
void TFE_OpSetAttrFloat(TFE_Op*, const char*, float); void TFE_OpSetAttrBool(TFE_Op*, const char*, unsigned char);
void TFE_OpSetAttrType(TFE_Op*, const char*, TF_DataType); void TFE_OpSetAttrShape(TFE_Op*, const char*, const int64_t*, const int, TF_Status*);
void TFE_OpSetAttrIntList(TFE_Op*, const char*, const int64_t*, int); void TFE_OpSetAttrFloatList(TFE_Op*, const char*, const float*, int);
void TFE_OpSetAttrBoolList(TFE_Op*, const char*, const unsigned char*, int);
void TFE_Execute(TFE_Op*, TFE_TensorHandle**, int*, TF_Status*);
#ifdef __cplusplus
}
#endif
// 24-byte string cell of TF >= 2.4: low 2 bits of byte 0 = kind (0 inline, 1 heap, 2 offset, 3 view). Little-endian only.
typedef struct { union { struct { uint8_t size; char s[23]; } in; struct { size_t size, cap; char* p; } heap;
                         struct { uint32_t size, off, n; } rel; struct { size_t size; const char* p; } view; uint8_t raw[24]; } u; } TF_TString;
static inline void TF_TString_Init(TF_TString* t) { memset(t, 0, sizeof *t); }
static inline size_t TF_TString_GetSize(const TF_TString* t) {
  switch (t->u.raw[0] & 3) { case 0: return t->u.in.size >> 2; case 2: return t->u.rel.size >> 2; default: return t->u.heap.size >> 2; } }
static inline const char* TF_TString_GetDataPointer(const TF_TString* t) {
  switch (t->u.raw[0] & 3) { case 0: return t->u.in.s; case 1: return t->u.heap.p; case 2: return (const char*)t + t->u.rel.off; default: return t->u.view.p; } }
static inline void TF_TString_Dealloc(TF_TString* t) { if ((t->u.raw[0] & 3) == 1) free(t->u.heap.p); TF_TString_Init(t); }
static inline void TF_TString_Copy(TF_TString* t, const char* src, size_t n) {
  TF_TString_Dealloc(t);
  if (n <= 22) { t->u.in.size = (uint8_t)(n << 2); if (n) memcpy(t->u.in.s, src, n); return; }
  size_t cap = ((n + 16) & ~(size_t)15) - 1; char* p = (char*)malloc(cap + 1); memcpy(p, src, n); p[n] = 0;
  t->u.heap.size = n << 2 | 1; t->u.heap.cap = cap; t->u.heap.p = p; }
